package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"nftknock/cmd/docs"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := docs.Write(rootCommand(streams{}), dir, "1", "User Commands"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // in each file
		"bash":            "complete -o default -F __start_nftknock nftknock",
		"zsh":             "#compdef nftknock",
		"fish":            "complete -c nftknock",
		"man1/nftknock.1": `.TH "NFTKNOCK" "1"`,
	}
	for _, c := range rootCommand(streams{}).Commands() {
		if !c.Hidden {
			want["man1/nftknock-"+c.Name()+".1"] = "\n.SH SYNOPSIS\n"
		}
	}
	for name, text := range want {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Contains(data, []byte(text)) {
			t.Errorf("%s: want %q in:\n%s", name, text, data)
		}
	}
	if pages, _ := filepath.Glob(filepath.Join(dir, "man1", "*")); len(pages) != len(want)-3 {
		t.Errorf("pages: %q", pages)
	}
}

func TestExamples(t *testing.T) {
	root := rootCommand(streams{})
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
}
