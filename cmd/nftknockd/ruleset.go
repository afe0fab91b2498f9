package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/nft"
)

func rulesetCommand(configFile *string) *cobra.Command {
	return &cobra.Command{
		Use:   "ruleset",
		Short: "Print the table as an nft script",
		Long: `Prints, as an nft script, exactly the table that "run" would install. It touches
nothing and needs no root. That the table is owned (own_table) is not part of the script: nft
would own it then.`,
		Example: "  nftknockd ruleset | nft -c -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), rulesetOf(cfg))
			return err
		},
	}
}

// rulesetOf returns the table that a configuration asks for.
func rulesetOf(cfg *config.Config) *nft.Ruleset {
	return nft.NewRuleset(nft.Spec{
		Table:       cfg.Table,
		NFLogGroup:  cfg.NFLogGroup,
		Interfaces:  cfg.Interfaces,
		AlwaysAllow: cfg.AlwaysAllow,
		PerSource:   uint32(cfg.Limits.PerSource),
		Doors:       cfg.Doors,
	})
}
