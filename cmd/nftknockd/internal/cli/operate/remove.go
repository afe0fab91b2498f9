package operate

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/nft"
)

func removeCommand(configFile *string) *cobra.Command {
	var table, state string
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Remove the table: nothing is guarded any more",
		Long: `Removes the table and all grants: what the doors guarded is open to everybody. The
daemon must be stopped first. Needs CAP_NET_ADMIN. If the configuration cannot be read the
table is the one of the configuration that was in force last; --table names another.`,
		Example: "  systemctl stop nftknockd && nftknockd remove",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if table == "" {
				table = lastgood.Table(*configFile, statedir.Find(state), cmd.ErrOrStderr())
			}
			was, err := nft.Remove(table)
			switch {
			case err != nil:
				return err
			case was:
				fmt.Fprintf(cmd.OutOrStdout(), "removed table inet %s: nothing is guarded any more\n", table)
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "there is no table inet %s\n", table)
			}
			return nil
		},
	}
	command.AddState(cmd, &state)
	cmd.Flags().StringVar(&table, "table", "", "the table's `NAME`, instead of the configuration's")
	return cmd
}
