package configure

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
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
	command.AddState(cmd, &state)
	return cmd
}
