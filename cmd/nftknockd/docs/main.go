package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nftknock/cmd/docs"
	"nftknock/config"
)

// docsCommand is for those who make packages.
func docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs DIR",
		Short: "Write man pages, and completions for shells",
		Long: `Writes what a package installs beside the program: a man page for each command into
DIR/man8, that of the configuration into DIR/man5, and completions into DIR/bash, DIR/zsh and DIR/fish. DIR has to be there, and empty.`,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return writeDocs(args[0])
		},
	}
}

func writeDocs(dir string) error {
	if err := docs.Write(rootCommand(), dir, "8", "System Administration"); err != nil {
		return err
	}
	man5 := filepath.Join(dir, "man5")
	if err := os.Mkdir(man5, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(man5, "nftknockd.toml.5"), []byte(configPage(config.Reference)), 0o644)
}
