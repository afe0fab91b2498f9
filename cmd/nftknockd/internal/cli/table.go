package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

func rulesetCommand(configFile *string) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "ruleset",
		Short: "Print the table as an nft script",
		Long: `Prints exactly the table that "run" would install, as an nft script. It touches nothing
and needs no root. The decoys are derived from a secret of the daemon's: those who cannot read
it get the table without decoys, and a note that says so. The script does not make the table
owned (own_table): nft would be its owner.`,
		Example: "  nftknockd ruleset | nft -c -f -",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			var decoys []knock.Port
			secret, err := ruleset.Secret(cfg, statedir.Find(state), false)
			if err == nil {
				decoys = ruleset.Decoys(cfg, secret)
			} else {
				fmt.Fprintf(cmd.ErrOrStderr(), "nftknockd: without decoys: %v\n", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), ruleset.Of(cfg, decoys))
			return err
		},
	}
	addStateFlag(cmd, &state)
	return cmd
}

func removeCommand(configFile *string) *cobra.Command {
	var table, state string
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove the table: nothing is guarded any more",
		Long: `Removes the table and all grants: what the doors guarded is open to everybody. The
daemon must be stopped first. Needs CAP_NET_ADMIN. If the configuration cannot be read the
table is the one of the configuration that was in force last.`,
		Example: "  systemctl stop nftknockd && nftknockd remove",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if table == "" {
				table = tableOf(*configFile, statedir.Find(state), cmd.ErrOrStderr())
			}
			was, err := nft.Remove(table)
			if err == nil && !was {
				fmt.Fprintf(cmd.OutOrStdout(), "there is no table inet %s\n", table)
			}
			return err
		},
	}
	addStateFlag(cmd, &state)
	cmd.Flags().StringVar(&table, "table", "", "the table's `NAME`, instead of the configuration's")
	return cmd
}

// tableOf returns the name of the table, whether or not the configuration can be read: it
// may be that of the last good one, and else is the default.
func tableOf(configFile string, state statedir.Dir, stderr io.Writer) string {
	cfg, err := config.LoadWithoutSecrets(configFile)
	if err == nil {
		return cfg.Table
	}
	if cfg, _ = gate.LastGood(state); cfg == nil {
		cfg, _ = config.Parse("", nil)
	}
	fmt.Fprintf(stderr, "nftknockd: %v\nnftknockd: taking the table to be inet %s; --table names another\n", err, cfg.Table)
	return cfg.Table
}
