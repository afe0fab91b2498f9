package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// docsCommand is for those who make packages. What it writes comes from the
// commands themselves, so that it never says anything else than --help does.
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
			// Not cmd.Root(): to that one, cobra has added commands of its own.
			return writeDocs(rootCommand(streams{}), args[0])
		},
	}
}

func writeDocs(root *cobra.Command, dir string) error {
	man := filepath.Join(dir, "man1")
	if err := os.Mkdir(man, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // who made a page, and on what day, is nobody's business
	header := &doc.GenManHeader{Section: "1", Source: "nftknock", Manual: "User Commands"}
	if err := doc.GenManTree(root, header, man); err != nil {
		return err
	}
	if err := root.GenBashCompletionFileV2(filepath.Join(dir, "bash"), true); err != nil {
		return err
	}
	if err := root.GenZshCompletionFile(filepath.Join(dir, "zsh")); err != nil {
		return err
	}
	return root.GenFishCompletionFile(filepath.Join(dir, "fish"), true)
}
