package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writeDocs(rootCommand(), dir); err != nil {
		t.Fatal(err)
	}

	want := map[string]string{ // in each file
		"bash":             "complete -o default -F __start_nftknockd nftknockd",
		"zsh":              "#compdef nftknockd",
		"fish":             "complete -c nftknockd",
		"man8/nftknockd.8": `.TH "NFTKNOCKD" "8"`,
	}
	var pages func(*cobra.Command)
	pages = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if !c.Hidden {
				want["man8/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".8"] = "\n.SH SYNOPSIS\n"
				pages(c)
			}
		}
	}
	pages(rootCommand())
	for name, text := range want {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Contains(data, []byte(text)) {
			t.Errorf("%s: want %q in:\n%s", name, text, data)
		}
	}
	if pages, _ := filepath.Glob(filepath.Join(dir, "man8", "*")); len(pages) != len(want)-3 {
		t.Errorf("pages: %q", pages)
	}
}
