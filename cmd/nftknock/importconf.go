package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/config/knockd"
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
		texts[i] = profileTOML(p)
	}
	text := strings.Join(texts, "\n")
	if host != "" {
		if _, err := config.ParseHosts("", []byte(text)); err != nil {
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

// profileTOML returns a profile as it stands in hosts.toml. One without a host has a
// place for it, and is an error until that is filled in.
func profileTOML(p config.Profile) string {
	name := p.Name
	if strings.Contains(name, ".") { // which would be a table within a table
		name = strconv.Quote(name)
	}
	text := fmt.Sprintf("[host.%s]\n", name)
	if p.Host == "" {
		text += "host = \"\" # write whom to knock at\n"
	} else {
		text += fmt.Sprintf("host = %q\n", p.Host)
	}
	text += "sequence = " + config.PortList(p.Sequence) + "\n"
	if len(p.CloseSequence) > 0 {
		text += "close_sequence = " + config.PortList(p.CloseSequence) + "\n"
	}
	return text
}
