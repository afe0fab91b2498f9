package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nftknock/config/knockd"
	"nftknock/config/migrate"
	"nftknock/config/profile"
)

func importConfCommand() *cobra.Command {
	var keys string
	cmd := &cobra.Command{
		Use:   "import-conf FILE [HOST]",
		Short: "Make profiles of a knockd.conf, or of fwknop's files",
		Long: `Reads the sequences of a knockd.conf, or the keys of fwknop's .fwknoprc or access.conf, and
prints profiles for hosts.toml. Of sections that open and close the same one profile becomes,
with the sequence of the second as its close_sequence; of any other section one by itself.

A knockd.conf or access.conf does not say whom to knock at: without a HOST that has to be
written into the profiles before they can be used. Keys go to files, which --keys writes. What
is not carried over is told.`,
		Example: `  nftknock import-conf knockd.conf server.example.org >> ~/.config/nftknock/hosts.toml
  nftknock import-conf --keys ~/.config/nftknock ~/.fwknoprc >> ~/.config/nftknock/hosts.toml`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			host := ""
			if len(args) == 2 {
				host = args[1]
			}
			return importConf(args[0], host, keys, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "write the key files into `FOLDER`, that of hosts.toml")
	return cmd
}

func importConf(file, host, keys string, stdout, stderr io.Writer) error {
	data, err := readConf(file)
	if err != nil {
		return err
	}
	var profiles profile.Profiles
	var keyFiles []migrate.KeyFile
	var losses []migrate.Loss
	kind := "knockd.conf"
	switch migrate.KindOf(data) {
	case migrate.Knockd:
		profiles, losses = migrate.Profiles(file, knockd.Parse(data))
	case migrate.Access:
		kind = "access.conf"
		profiles, keyFiles, losses = migrate.AccessProfiles(file, data)
	case migrate.Fwknoprc:
		kind = ".fwknoprc"
		profiles, keyFiles, losses = migrate.FwknopProfiles(file, data)
	}
	for _, l := range losses {
		fmt.Fprintln(stderr, l)
	}
	if len(profiles) == 0 {
		return fmt.Errorf("%s has no section that can be knocked: is it a %s?", file, kind)
	}
	for i := range profiles {
		if profiles[i].Host == "" {
			profiles[i].Host = host
		}
	}
	text := migrate.Text(profiles)
	if host != "" || kind == ".fwknoprc" {
		if _, err := profile.Parse("", []byte(text)); err != nil {
			return err
		}
	}
	if keys != "" {
		if err := migrate.WriteKeys(keys, keyFiles); err != nil {
			return err
		}
	} else if len(keyFiles) > 0 {
		fmt.Fprintln(stderr, "hint: the profiles need their key files beside hosts.toml: --keys FOLDER writes them, each for its owner alone to read")
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
		err = fmt.Errorf("%s is larger than %d KiB, the most that is read: is it the right file?", name, most>>10)
	}
	return data, err
}
