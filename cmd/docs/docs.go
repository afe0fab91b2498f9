// Package docs writes what a package installs beside a program. It comes from the
// program's commands, so that it never says anything else than --help does.
package docs

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Write writes a man page for each command into dir/manSECTION, and completions into dir/bash,
// dir/zsh and dir/fish. The directory has to be there, and empty. The root must be fresh:
// to one that has run, cobra has added commands of its own.
func Write(root *cobra.Command, dir, section, manual string) error {
	man := filepath.Join(dir, "man"+section)
	if err := os.Mkdir(man, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // who made a page, and on what day, is nobody's business
	header := &doc.GenManHeader{Section: section, Source: "nftknock", Manual: manual}
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

// SeeAlso adds pages, such as "ssh_config(5)", to the end of each page in a directory, which is
// where cobra refers to those of the commands.
func SeeAlso(man string, pages ...string) error {
	files, err := filepath.Glob(filepath.Join(man, "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		page = bytes.TrimRight(page, "\n")
		for _, name := range pages {
			page = append(page, ", \\fB"+Roff(name)+"\\fP"...)
		}
		if err := os.WriteFile(file, append(page, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
