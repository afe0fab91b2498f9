package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/config/knockd"
	"nftknock/config/migrate"
)

func importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Turn a knockd.conf into a configuration",
		Long: `Reads the configuration of knockd and prints one for nftknockd: sections that open and
close the same ports become one door. The commands of iptables, nft, ufw and firewall-cmd are
understood. What is not carried over as it was is told, by its line, and stands in the
output as a comment; if a door could not be carried over, the exit status is 1.

The firewall has to allow the ports from now on, as if there were no gate. It touches nothing and
needs no root, but has to be able to read the file.`,
		Example: `  nftknockd import /etc/knockd.conf
  nftknockd import /etc/knockd.conf | install -m 0640 -g nftknock /dev/stdin /etc/nftknock/nftknockd.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return importKnockd(args[0], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func importKnockd(file string, stdout, stderr io.Writer) error {
	data, err := readKnockd(file)
	if err != nil {
		return err
	}
	result := migrate.FromKnockd(file, knockd.Parse(data))
	if _, err := io.WriteString(stdout, result.TOML); err != nil {
		return err
	}
	for _, l := range result.Losses {
		fmt.Fprintln(stderr, l)
	}
	cfg, err := config.Parse("", []byte(result.TOML))
	if err != nil {
		return err
	}
	for _, w := range warnings(cfg) {
		fmt.Fprintf(stderr, "warning: %v\n", w)
	}
	switch {
	case len(cfg.Doors) == 0:
		return fmt.Errorf("%s has no section that becomes a door: is it a knockd.conf?", file)
	case !result.Complete():
		return fmt.Errorf("%s: not every door could be carried over: what became of each line is in the output", file)
	}
	return nil
}

// readKnockd reads a file. A knockd.conf is small: what is as large as this is
// another file.
func readKnockd(file string) ([]byte, error) {
	const most = 64 << 10
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: Debian's knockd keeps it in /etc/knockd.conf", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s is larger than %d KiB, the most that is read: is it a knockd.conf?", file, most>>10)
	}
	return data, err
}
