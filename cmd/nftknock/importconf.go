package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/config/knockd"
	"nftknock/config/profile"
)

func importConfCommand() *cobra.Command {
	var add, replace bool
	cmd := &cobra.Command{
		Use:   "import-conf [flags] FILE [HOST]",
		Short: "Make profiles of a knockd.conf",
		Long: `Reads the sequences of a knockd.conf and prints them as profiles for hosts.toml. Of the sections
openX and closeX one profile becomes, with the sequence of the second as its close_sequence;
of any other section one by itself.

A knockd.conf does not say whom to knock at: without a HOST that has to be written into the
profiles before they can be used. What is not carried over is told.

With --add they go into the user's hosts.toml; that takes a HOST. If one of them cannot be added,
none after it is.`,
		Example: `  nftknock import-conf knockd.conf server.example.org
  nftknock import-conf --add knockd.conf server.example.org`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			host := ""
			if len(args) == 2 {
				host = args[1]
			}
			switch {
			case replace && !add:
				return errors.New("--replace is about profiles that --add adds")
			case add && host == "":
				return errors.New("--add takes a host to knock at: nftknock import-conf --add FILE HOST")
			}
			profiles, err := importConf(args[0], host, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if add {
				return addProfiles(profiles, replace, cmd.ErrOrStderr())
			}
			return printProfiles(profiles, host, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&add, "add", false, "add the profiles to hosts.toml rather than print them")
	cmd.Flags().BoolVar(&replace, "replace", false, "with --add, replace profiles of the same names")
	return cmd
}

// importConf returns the profiles that a file makes, and says what it does not carry over.
func importConf(file, host string, stderr io.Writer) ([]profile.Profile, error) {
	data, err := readConf(file)
	if err != nil {
		return nil, err
	}
	profiles, losses := pair(knockd.Parse(data))
	for _, l := range losses {
		fmt.Fprintf(stderr, "%s:%d: %s\n", file, l.line, l.text)
	}
	if len(profiles) == 0 {
		return nil, fmt.Errorf("%s has no section that can be knocked: is it a knockd.conf?", file)
	}
	for i := range profiles {
		profiles[i].Host = host
	}
	return profiles, nil
}

func addProfiles(profiles []profile.Profile, replace bool, stderr io.Writer) error {
	for _, p := range profiles {
		path, err := addProfile(p, "", replace)
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknock: profile %s is in %s\n", p.Name, path)
	}
	return nil
}

// printProfiles prints profiles as they stand in a hosts.toml.
func printProfiles(profiles []profile.Profile, host string, stdout io.Writer) error {
	texts := make([]string, len(profiles))
	for i, p := range profiles {
		texts[i] = p.TOML()
	}
	text := strings.Join(texts, "\n")
	if host != "" {
		if _, err := profile.Parse("", []byte(text)); err != nil {
			return err
		}
	}
	_, err := io.WriteString(stdout, text)
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
