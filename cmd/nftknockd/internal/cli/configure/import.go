package configure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/words"
	"nftknock/config"
	"nftknock/config/knockd"
	"nftknock/config/migrate"
)

func importCommand() *cobra.Command {
	var keys string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a knockd.conf, or fwknop's access.conf, into a configuration",
		Long: `Reads the configuration of knockd, or access.conf of fwknopd, and prints one for nftknockd.

Of a knockd.conf, sections that open and close the same ports become one door. The commands of
iptables, nft, ipset, ufw and firewall-cmd are understood; others become hooks, and a section
with nothing else a trigger: a door that guards nothing. The interface of knockd's options is
taken from default/knockd, conf.d/knockd or sysconfig/knockd in the folder of the file.

Of an access.conf, each stanza becomes a door, or one more key of a door; the port comes from
fwknopd.conf beside it. The keys go to files, which --keys writes.

What is not carried over as it was is told, by its line, and stands in the output as a comment;
if a door could not be carried over, the exit status is 1.

The firewall has to allow the ports from now on, as if there were no gate. It touches nothing and
needs no root, but has to be able to read the file.`,
		Example: `  nftknockd import /etc/knockd.conf
  nftknockd import /etc/knockd.conf | install -m 0640 -g nftknock /dev/stdin /etc/nftknock/nftknockd.toml
  nftknockd import --keys /etc/nftknock /etc/fwknop/access.conf`,
		Args: usage.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return importFile(args[0], keys, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&keys, "keys", "", "write the key files of an access.conf into `FOLDER`, mode 0600")
	return cmd
}

func importFile(file, keys string, stdout, stderr io.Writer) error {
	data, err := readImported(file)
	if err != nil {
		return err
	}
	var result *migrate.Result
	kind, sections := "knockd.conf", "sections"
	switch migrate.KindOf(data) {
	case migrate.Knockd:
		result = migrate.FromKnockd(file, knockd.Parse(data), knockdInterface(file))
	case migrate.Access:
		kind, sections = "access.conf", "stanzas"
		server := filepath.Join(filepath.Dir(file), "fwknopd.conf")
		text, err := readImported(server)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		result = migrate.FromAccess(file, data, server, text)
	case migrate.Fwknoprc:
		return fmt.Errorf("%s is for clients\nhint: nftknock import-conf makes profiles of it", file)
	}
	for _, l := range result.Losses {
		fmt.Fprintln(stderr, l)
	}
	cfg, err := config.Parse("", []byte(result.TOML))
	if err != nil {
		return err
	}
	switch {
	case result.Sections == 0:
		return fmt.Errorf("%s has no %s: is it a %s?", file, sections, kind)
	case result.Doors == 0:
		return fmt.Errorf("%s: none of its %d %s became a door", file, result.Sections, sections)
	}
	if keys != "" {
		if err := migrate.WriteKeys(keys, result.KeyFiles); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdout, result.TOML); err != nil {
		return err
	}
	for _, w := range cfg.WarningsHere() {
		fmt.Fprintf(stderr, "warning: %v\n", w)
	}
	fmt.Fprintf(stderr, "nftknockd: %s: %s, %s, %s not as before\n", file,
		words.Count(result.Doors, "door"), words.Count(result.Hooks, "hook"), words.Count(result.LostLines(), "line"))
	if len(result.KeyFiles) > 0 && keys == "" {
		fmt.Fprintf(stderr, "hint: the doors need their key files beside the configuration: --keys FOLDER writes them, each for its owner alone to read\n")
	}
	if !result.Complete() {
		return fmt.Errorf("%s: not every door could be carried over: what became of each line is in the output", file)
	}
	return nil
}

// knockdInterface returns the interface of knockd's options, where these are to be found
// from the folder of a knockd.conf; empty if there is none.
func knockdInterface(file string) string {
	for _, name := range knockd.DefaultsFiles {
		if data, err := readImported(filepath.Join(filepath.Dir(file), name)); err == nil {
			if guarded := knockd.Interface(data); guarded != "" {
				return guarded
			}
		}
	}
	return ""
}

// readImported reads a file. A configuration is small: what is as large as this is another
// file.
func readImported(file string) ([]byte, error) {
	const most = 64 << 10
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: Debian keeps /etc/knockd.conf and /etc/fwknop/access.conf", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s is larger than %d KiB, the most that is read: is it the right file?", file, most>>10)
	}
	return data, err
}
