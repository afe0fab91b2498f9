package main

import (
	"github.com/spf13/cobra"

	"nftknock/cmd/docs"
)

// docsCommand is for those who make packages.
func docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs DIR",
		Short: "Write man pages, and completions for shells",
		Long: `Writes what a package installs beside the program: a man page for each command into
DIR/man1, and completions into DIR/bash, DIR/zsh and DIR/fish. DIR has to be there, and empty.`,
		Example: "  nftknock docs ./docs",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return docs.Write(rootCommand(streams{}), args[0], "1", "User Commands")
		},
	}
}
