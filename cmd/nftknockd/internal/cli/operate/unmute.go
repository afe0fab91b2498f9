package operate

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
)

func unmuteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unmute ADDR",
		Short: "Listen again to a source that is muted",
		Long: `Listens again to a source that is muted, because it has touched a decoy or knocked a wrong code:
before its time is over, which "nftknockd status" shows. With an IPv6 address all of its network is
unmuted, which is muted with it. ADDR is an address, or a prefix: then all who are muted in it.

It lets nobody in. Who scans on is muted again.`,
		Example: "  nftknockd unmute 203.0.113.7\n  nftknockd unmute 2001:db8:0:7::/64\n  nftknockd unmute fe80::1%eth0",
		Args:    usage.Exactly("ADDR"),
	}
	socket := command.AddSocket(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var sources []string
		if status, err := api.NewClient(*socket).Status(); err == nil && status.Daemon != nil && len(args) == 0 {
			for _, m := range status.Daemon.MutedSources {
				sources = append(sources, m.Source)
			}
		}
		return sources, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
		r, err := client.Unmute(args[0])
		if err != nil {
			return err
		}
		if len(r.Sources) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s was not muted\n", args[0])
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "listening again to %s\n", several(r.Sources))
		return nil
	}
	return cmd
}
