package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/config/knockd"
	"nftknock/config/migrate"
	"nftknock/config/profile"
)

func importConfCommand() *cobra.Command {
	var add, replace bool
	var keys string
	cmd := &cobra.Command{
		Use:   "import-conf [flags] FILE [HOST]",
		Short: "Make profiles of a knockd.conf, or of fwknop's files",
		Long: `Reads the sequences of a knockd.conf, or the keys of fwknop's .fwknoprc or access.conf, and
prints them as profiles for hosts.toml. Two sections that open and close the same ports become
one profile, with the sequence of the second as its close_sequence; any other section becomes
a profile by itself.

A knockd.conf or access.conf does not say which host to knock at: give HOST, or write it into
the profiles before you use them. Keys go to files, which --keys writes. What cannot be carried
over is named on standard error.

With --add the profiles go into the user's hosts.toml, and keys beside it; that needs HOST,
except for a .fwknoprc. If one of them cannot be added, none after it is.`,
		Example: `  nftknock import-conf knockd.conf server.example.org
  nftknock import-conf --add knockd.conf server.example.org
  nftknock import-conf --add ~/.fwknoprc`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return usage.Exactly("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			host := ""
			if len(args) == 2 {
				host = args[1]
			}
			switch {
			case replace && !add:
				return errors.New("--replace is about profiles that --add adds")
			case add && keys != "":
				return errors.New("--add writes keys beside hosts.toml, and --keys elsewhere: give one of them")
			}
			file, err := importConf(args[0], host, cmd.ErrOrStderr())
			switch {
			case err != nil:
				return err
			case add && slices.ContainsFunc(file.profiles, func(p profile.Profile) bool { return p.Host == "" }):
				return errors.New("--add takes a host to knock at: nftknock import-conf --add FILE HOST")
			case add:
				return file.add(replace, cmd.ErrOrStderr())
			}
			return file.print(keys, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&add, "add", false, "add the profiles to hosts.toml rather than print them")
	cmd.Flags().BoolVar(&replace, "replace", false, "with --add, replace profiles of the same names")
	cmd.Flags().StringVar(&keys, "keys", "", "write the key files into `FOLDER`, that of hosts.toml")
	return cmd
}

// An importedFile is what becomes of a file.
type importedFile struct {
	profiles profile.Profiles
	keys     []migrate.KeyFile
}

// importConf reads a file, and says what it does not carry over.
func importConf(name, host string, stderr io.Writer) (*importedFile, error) {
	data, err := readConf(name)
	if err != nil {
		return nil, err
	}
	var file importedFile
	var losses []migrate.Loss
	kind := "knockd.conf"
	switch migrate.KindOf(data) {
	case migrate.Knockd:
		file.profiles, losses = migrate.Profiles(name, knockd.Parse(data))
	case migrate.Access:
		kind = "access.conf"
		file.profiles, file.keys, losses = migrate.AccessProfiles(name, data)
	case migrate.Fwknoprc:
		kind = ".fwknoprc"
		file.profiles, file.keys, losses = migrate.FwknopProfiles(name, data)
	}
	for _, l := range losses {
		fmt.Fprintln(stderr, l)
	}
	if len(file.profiles) == 0 {
		return nil, fmt.Errorf("%s has no section that can be knocked: is it a %s?", name, kind)
	}
	for i := range file.profiles {
		if file.profiles[i].Host == "" {
			file.profiles[i].Host = host
		}
	}
	return &file, nil
}

// add adds the profiles to hosts.toml, each with its keys beside that.
func (f *importedFile) add(replace bool, stderr io.Writer) error {
	for _, p := range f.profiles {
		var key profile.Secret
		if i := slices.IndexFunc(f.keys, func(k migrate.KeyFile) bool { return k.Name == p.SPAKeyFile }); i >= 0 {
			key = f.keys[i].Text
		}
		path, err := addProfile(p, key, replace)
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "nftknock: profile %s is in %s\n", p.Name, path)
	}
	return nil
}

// print prints the profiles as they stand in a hosts.toml.
func (f *importedFile) print(keys string, stdout, stderr io.Writer) error {
	text := migrate.Text(f.profiles)
	if f.profiles[0].Host != "" {
		if _, err := profile.Parse("", []byte(text)); err != nil {
			return err
		}
	}
	if keys != "" {
		if err := migrate.WriteKeys(keys, f.keys); err != nil {
			return err
		}
	} else if len(f.keys) > 0 {
		fmt.Fprintln(stderr, "hint: the profiles need their key files beside hosts.toml: --keys FOLDER writes them, each for its owner alone to read")
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
		err = fmt.Errorf("%s is larger than %d KiB, the most that is read: is it the right file?", name, most>>10)
	}
	return data, err
}
