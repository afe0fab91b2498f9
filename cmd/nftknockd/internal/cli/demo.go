package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/config"
)

// demoConfig is what the demo shows when it is given no file.
const demoConfig = `
[door.ssh]
ports          = [22]
sequence       = [7011, "9035:udp", 8127]
close_sequence = [8127, "9035:udp", 7011]
`

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
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process

			s := &stage{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), verbose: verbose}
			inside, err := onStage()
			if err != nil {
				return err
			}
			if inside {
				return s.perform(ctx)
			}
			file := ""
			if cmd.Flags().Changed("config") {
				file = *configFile
			}
			return s.open(ctx, file)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the daemon's log as it is written")
	return cmd
}

// open reads the configuration, and has the demo played on the stage.
func (s *stage) open(ctx context.Context, file string) error {
	title := "nftknockd demo"
	var cfg *config.Config
	var err error
	if file == "" {
		cfg, err = config.Parse("the demo's own configuration", []byte(demoConfig))
	} else {
		title += " of " + file
		cfg, err = config.Load(file)
	}
	if err != nil {
		return err
	}
	if len(cfg.Doors) == 0 {
		return fmt.Errorf("%s has no door: there is nothing to show", file)
	}
	script, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: two hosts in network namespaces of their own; nothing on this machine is touched\n", title)
	return s.enter(ctx, script)
}
