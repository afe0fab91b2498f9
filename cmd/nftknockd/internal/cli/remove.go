package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/config"
	"nftknock/nft"
)

func removeCommand(configFile *string) *cobra.Command {
	var table string
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Take the table away: nothing is guarded any more",
		Long: `Takes the table away, and with it whoever is let in: what the doors guarded is
open to all. The daemon must be stopped first. Needs CAP_NET_ADMIN.`,
		Example: "  systemctl stop nftknockd && nftknockd remove",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if table == "" {
				cfg, err := config.LoadWithoutSecrets(*configFile)
				if err != nil {
					return fmt.Errorf("%w\nhint: name the table: nftknockd remove --table NAME", err)
				}
				table = cfg.Table
			}
			was, err := nft.Remove(table)
			if err == nil && !was {
				fmt.Fprintf(cmd.OutOrStdout(), "there is no table inet %s\n", table)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "the table's `NAME`, instead of the configuration's")
	return cmd
}
