package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"nftknock/cmd/docs"
	"nftknock/cmd/nftknockd/internal/cli"
	"nftknock/config"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}

	want := map[string]string{ // in each file
		"bash":             "complete -o default -F __start_nftknockd nftknockd",
		"zsh":              "#compdef nftknockd",
		"fish":             "complete -c nftknockd",
		"man8/nftknockd.8": `.TH "NFTKNOCKD" "8"`,

		"man5/nftknockd.toml.5": "\n.SH [door.NAME]\n",
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
	pages(cli.Command())
	for name, text := range want {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Contains(data, []byte(text)) {
			t.Errorf("%s: want %q in:\n%s", name, text, data)
		}
	}
	if pages, _ := filepath.Glob(filepath.Join(dir, "man8", "*")); len(pages) != len(want)-4 {
		t.Errorf("pages: %q", pages)
	}
}

// The page of the configuration has all there is in the reference, in words that
// groff has no complaints about.
func TestConfigPage(t *testing.T) {
	t.Parallel()
	page := configPage(config.Reference)
	for line := range strings.Lines(config.Reference) {
		line = strings.TrimSpace(strings.TrimLeft(line, "# "))
		if line != "" && line != "[door.ssh]" && line != "[hook.wake]" && !strings.Contains(page, strings.SplitN(docs.Roff(line), " = ", 2)[0]) {
			t.Errorf("not in the page: %s", line)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
