package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

func rulesetCommand(configFile *string) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "ruleset",
		Short: "Print the table as an nft script",
		Long: `Prints, as an nft script, exactly the table that "run" would install. It touches
nothing and needs no root, but the decoys are chosen by a secret of the daemon's: who cannot
read it gets the table without them, and is told so. That the table is owned (own_table) is not
part of the script: nft would own it then.`,
		Example: "  nftknockd ruleset | nft -c -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			var decoys []knock.Port
			secret, err := decoySecret(cfg, stateDirOf(state), false)
			if err == nil {
				decoys = decoysOf(cfg, secret)
			} else {
				fmt.Fprintf(cmd.ErrOrStderr(), "nftknockd: without decoys: %v\n", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), rulesetOf(cfg, decoys))
			return err
		},
	}
	addStateFlag(cmd, &state)
	return cmd
}

// rulesetOf returns the table that a configuration asks for, with the decoys that were
// chosen for it.
func rulesetOf(cfg *config.Config, decoys []knock.Port) *nft.Ruleset {
	return nft.NewRuleset(nft.Spec{
		Table:       cfg.Table,
		NFLogGroup:  cfg.NFLogGroup,
		Interfaces:  cfg.Interfaces,
		AlwaysAllow: cfg.AlwaysAllow,
		PerSource:   uint32(cfg.Limits.PerSource),
		Doors:       cfg.Doors,
		Decoys:      decoys,
	})
}
