package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config/knockd"
	"nftknock/config/profile"
)

func importConfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import-conf FILE [HOST]",
		Short: "Make profiles of a knockd.conf",
		Long: `Reads the sequences of a knockd.conf and prints profiles for hosts.toml. Of the sections
openX and closeX one profile becomes, with the sequence of the second as its close_sequence;
of any other section one by itself.

A knockd.conf does not say whom to knock at: without a HOST that has to be written into the
profiles before they can be used. What is not carried over is told.`,
		Example: "  nftknock import-conf knockd.conf server.example.org >> ~/.config/nftknock/hosts.toml",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			host := ""
			if len(args) == 2 {
				host = args[1]
			}
			return importConf(args[0], host, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func importConf(file, host string, stdout, stderr io.Writer) error {
	data, err := readConf(file)
	if err != nil {
		return err
	}
	profiles, losses := pair(knockd.Parse(data))
	for _, l := range losses {
		fmt.Fprintf(stderr, "%s:%d: %s\n", file, l.line, l.text)
	}
	if len(profiles) == 0 {
		return fmt.Errorf("%s has no section that can be knocked: is it a knockd.conf?", file)
	}
	texts := make([]string, len(profiles))
	for i, p := range profiles {
		p.Host = host
		texts[i] = p.TOML()
	}
	text := strings.Join(texts, "\n")
	if host != "" {
		if _, err := profile.Parse("", []byte(text)); err != nil {
			return err
		}
	}
	_, err = io.WriteString(stdout, text)
	return err
}

// readConf reads a file. A knockd.conf is small: what is as large as this is another
// file.
func readConf(name string) ([]byte, error) {
	const most = 64 << 10
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s is larger than %d KiB, the most that is read: is it a knockd.conf?", name, most>>10)
	}
	return data, err
}
