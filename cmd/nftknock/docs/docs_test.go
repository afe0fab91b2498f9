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
	"nftknock/cmd/nftknock/internal/cli"
	"nftknock/config/profile"
)

func TestDocs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // in each file
		"bash":            "complete -o default -F __start_nftknock nftknock",
		"zsh":             "#compdef nftknock",
		"fish":            "complete -c nftknock",
		"man1/nftknock.1": `.TH "NFTKNOCK" "1"`,

		"man1/nftknock-proxy.1":      `\fBnftknock(1)\fP, \fBnftknock.hosts.toml(5)\fP, \fBssh_config(5)\fP, \fBknock(1)\fP`,
		"man5/nftknock.hosts.toml.5": "\n.SH [host.NAME]\n",
	}
	for _, c := range cli.Command(cli.Streams{}).Commands() {
		if _, known := want["man1/nftknock-"+c.Name()+".1"]; !c.Hidden && !known {
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
	if pages, _ := filepath.Glob(filepath.Join(dir, "man1", "*")); len(pages) != len(want)-4 {
		t.Errorf("pages: %q", pages)
	}
}

func TestExamples(t *testing.T) {
	root := cli.Command(cli.Streams{})
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
}

// The page of the profiles has all there is in the reference, in words that groff has no
// complaints about.
func TestProfilesPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "man5", "nftknock.hosts.toml.5"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(profile.Reference) {
		line = strings.TrimSpace(strings.TrimLeft(line, "# "))
		line, _, _ = strings.Cut(docs.Roff(line), " =")
		if line != "[host.home]" && !bytes.Contains(page, []byte(strings.TrimSpace(line))) {
			t.Errorf("not in the page: %s", line)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = bytes.NewReader(page)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
