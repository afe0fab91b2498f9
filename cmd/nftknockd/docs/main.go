// Command docs writes what a package installs beside nftknockd: man pages, and completions
// for shells. It is a program of its own so that the daemon does not carry the generator.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"nftknock/cmd/docs"
	"nftknock/cmd/nftknockd/internal/cli"
	"nftknock/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./cmd/nftknockd/docs DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// write writes a man page for each command into dir/man8, that of the configuration into
// dir/man5, and completions into dir/bash, dir/zsh and dir/fish. The directory has to be
// there, and empty.
func write(dir string) error {
	if err := docs.Write(cli.Command(), dir, "8", "System Administration"); err != nil {
		return err
	}
	if err := addSections(filepath.Join(dir, "man8", "nftknockd.8")); err != nil {
		return err
	}
	if err := docs.SeeAlso(filepath.Join(dir, "man8"), "nftknockd.toml(5)", "nftknock(1)", "nft(8)"); err != nil {
		return err
	}
	man5 := filepath.Join(dir, "man5")
	if err := os.Mkdir(man5, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(man5, "nftknockd.toml.5"), []byte(configPage(config.Reference)), 0o644)
}

// sections are those of nftknockd(8) that no command's help has: files, and what to do when
// somebody is not let in.
//
//go:embed sections.8
var sections []byte

// addSections adds them to a page, before what it refers to.
func addSections(page string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const last = ".SH SEE ALSO"
	at := bytes.Index(text, []byte(last))
	if at < 0 {
		return fmt.Errorf("%s has no %s", page, last)
	}
	return os.WriteFile(page, slices.Concat(text[:at], sections, text[at:]), 0o644)
}
