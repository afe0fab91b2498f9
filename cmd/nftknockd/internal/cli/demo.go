package cli

import (
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/demo"
)

func demoCommand(configFile *string) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the gate at work, in network namespaces of its own",
		Long: `Builds two hosts in network namespaces of their own, runs the real daemon on one of
them, and knocks from the other, over IPv4 and IPv6: shut, knocked, open, still shut to others,
closed. Nothing on this machine is touched. Needs root, or unprivileged user namespaces.

With --config it rehearses that file: each door, with its own sequences.`,
		Example: "  nftknockd demo\n  nftknockd demo -c ./nftknockd.toml",
		Args:    usage.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := command.UntilSignal()
			defer stop()

			o := demo.Options{Verbose: verbose, In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
			if cmd.Flags().Changed("config") {
				o.File = *configFile
			}
			return demo.Run(ctx, o)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the daemon's log as it is written")
	return cmd
}
