// Command docs writes what a package installs beside nftknock: man pages, and completions for
// shells. It is a program of its own so that the client does not carry the generator.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"nftknock/cmd/docs"
	"nftknock/cmd/nftknock/internal/cli"
	"nftknock/config/profile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./cmd/nftknock/docs DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// write writes a man page for each command into dir/man1, that of the profiles into dir/man5,
// and completions into dir/bash, dir/zsh and dir/fish. The directory has to be there, and empty.
func write(dir string) error {
	if err := docs.Write(cli.Command(cli.Streams{}), dir, "1", "User Commands"); err != nil {
		return err
	}
	if err := docs.SeeAlso(filepath.Join(dir, "man1"), "nftknock.hosts.toml(5)", "ssh_config(5)", "knock(1)"); err != nil {
		return err
	}
	man5 := filepath.Join(dir, "man5")
	if err := os.Mkdir(man5, 0o755); err != nil {
		return err
	}
	page := docs.ConfigPage{
		Name:      "nftknock.hosts.toml",
		Summary:   "the hosts that nftknock knocks at, and their sequences",
		Path:      "~/.config/nftknock/hosts.toml",
		Reference: profile.Reference,
		SeeAlso:   "nftknock(1), nftknock-add(1), nftknock-proxy(1), ssh_config(5), nftknockd.toml(5)",
	}
	return os.WriteFile(filepath.Join(man5, page.Name+".5"), []byte(page.String()), 0o644)
}
