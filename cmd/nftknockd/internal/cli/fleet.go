package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/fleet"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/journal"
	"nftknock/cmd/nftknockd/internal/service"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
)

// defaultFleetState is StateDirectory= of the unit.
const defaultFleetState = "/var/lib/nftknock-fleet"

func fleetCommand() *cobra.Command {
	var state, gate string
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Share grants with other gates, beside the daemon",
		Long: `Shares whom this gate lets in with the other gates of its group, through NATS, until SIGTERM
or SIGINT; nftknock-fleet.service does that while the configuration has a [fleet]. The daemon has no
network: this command asks it for [fleet] and for what it decides, and hands it what others have
decided. The daemon takes that for the doors of [fleet], and for no longer than max_grant.

A grant at one gate, by a knock, a code, a packet or an administrator, is a grant at all of them, for the
time that is left; what is revoked at one is revoked at all. A packet or a code that was used at one
is refused by the others from when they hear of it. Of two decisions about one source at
one door the later one counts, by the clock of the NATS servers.

Without NATS each gate works alone. When NATS is back, what happened in the meantime is shared, also
if this command or the daemon was killed: it remembers up to where events are shared, and the
daemon keeps the last 4,096. If somebody deletes the bucket, the gates make it anew.

When there is no [fleet], or no daemon, it ends after a few seconds, with status 0.`,
		Example: "  nftknockd fleet --gate bastion1",
		Args: func(cmd *cobra.Command, args []string) error {
			if gate == "" {
				host, err := os.Hostname()
				if err != nil {
					return err
				}
				gate, _, _ = strings.Cut(host, ".")
			}
			if !grant.IsGate(gate) {
				return fmt.Errorf("--gate: invalid name %q: want up to 63 letters, digits, dots, dashes or underscores", gate)
			}
			return usage.Exactly()(cmd, args)
		},
	}
	cmd.Flags().StringVar(&gate, "gate", "", "this gate's `NAME`, which the others show (default: that of the host)")
	cmd.Flags().StringVar(&state, "state", "", "state `DIR`ectory (default $STATE_DIRECTORY, or "+defaultFleetState+")")
	socket := cmd.Flags().String("socket", control.FleetCompanion.Socket, "the daemon's fleet socket, a `PATH`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if state == "" && os.Getenv("STATE_DIRECTORY") == "" {
			state = defaultFleetState
		}
		dir := statedir.Find(state)
		ctx, stop := command.UntilSignal()
		defer stop()
		position := event.PositionFile{Path: filepath.Join(string(dir), "position.json"), Replace: dir.Replace}
		log := journal.New(cmd.ErrOrStderr(), config.Text)
		c := fleet.Companion{
			Daemon: api.NewClient(*socket),
			Gate:   gate,
			Load:   position.Load,
			Save:   position.Save,
			Now:    time.Now,
			Log:    log,
			Ready:  func() { service.Notify(log, daemon.SdNotifyReady) },
		}
		return c.Run(ctx)
	}
	return cmd
}
