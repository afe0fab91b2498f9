package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nftknock/cmd/docs"
	"nftknock/cmd/internal/usage"
	"nftknock/config/profile"
)

// docsCommand is for those who make packages.
func docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs DIR",
		Short: "Write man pages, and completions for shells",
		Long: `Writes what a package installs beside the program: a man page for each command into
DIR/man1, that of the profiles into DIR/man5, and completions into DIR/bash, DIR/zsh and DIR/fish. DIR has to be there, and empty.`,
		Example: "  nftknock docs ./docs",
		Hidden:  true,
		Args:    usage.Exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			return writeDocs(args[0])
		},
	}
}

func writeDocs(dir string) error {
	if err := docs.Write(rootCommand(streams{}), dir, "1", "User Commands"); err != nil {
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
