package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/hooks"
	"nftknock/cmd/nftknockd/internal/journal"
	"nftknock/cmd/nftknockd/internal/service"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
)

// defaultHooksState is StateDirectory= of the unit.
const defaultHooksState = "/var/lib/nftknock-hooks"

func hooksCommand() *cobra.Command {
	var state string
	var atOnce int
	cmd := &cobra.Command{
		Use:   "hooks",
		Short: "Run the configuration's hooks, beside the daemon",
		Long: `Runs the programs of the configuration's [hook.NAME] tables, as the user that it is started
as, until SIGTERM or SIGINT; nftknock-hooks.service does that while there is a hook. It asks the
daemon for the hooks, and again after each reload: it does not read the configuration, which
holds secrets. The daemon itself runs nothing.

Each event reaches its hooks at least once, also when this command or the daemon was killed: it
remembers up to where events are dealt with, and the daemon keeps the last 4,096 in its state
directory, and apart from them as many scans and refused attempts. What happens to one source at
one door is dealt with in order, and the hooks of one event one after the other, in the order of
the configuration. A program that takes longer than its timeout is killed, with what it has
started. One that fails is logged with its exit status, and not run again.

No shell is used. The event is in the program's arguments, where they say so, on its standard
input as a JSON object, and in NFTKNOCK_HOOK, NFTKNOCK_ID (the same when it is run again),
NFTKNOCK_KIND, NFTKNOCK_TIME, NFTKNOCK_DOOR, NFTKNOCK_SOURCE, NFTKNOCK_BY, NFTKNOCK_KEY, NFTKNOCK_UNTIL,
NFTKNOCK_COUNT and NFTKNOCK_TEXT. Each value is checked before it is passed on.

When there is no hook, or no daemon, it ends after a few seconds, with status 0.`,
		Example: "  nftknockd hooks --socket /run/nftknockd/control.sock --state /var/lib/nftknock-hooks",
		Args: func(cmd *cobra.Command, args []string) error {
			if atOnce < 1 {
				return fmt.Errorf("--at-once: invalid value %d: want 1 or more", atOnce)
			}
			return usage.Exactly()(cmd, args)
		},
	}
	cmd.Flags().IntVar(&atOnce, "at-once", 4, "run at most `N` programs at a time")
	cmd.Flags().StringVar(&state, "state", "", "state `DIR`ectory (default $STATE_DIRECTORY, or "+defaultHooksState+")")
	socket := cmd.Flags().String("socket", control.HooksCompanion.Socket, "the daemon's `PATH`: its hooks socket, or its control socket")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if state == "" && os.Getenv("STATE_DIRECTORY") == "" {
			state = defaultHooksState
		}
		dir := statedir.Find(state)
		ctx, stop := command.UntilSignal()
		defer stop()
		log := journal.New(cmd.ErrOrStderr(), config.Text)
		c := hooks.Companion{
			Daemon:   api.NewClient(*socket),
			Position: event.PositionFile{Path: filepath.Join(string(dir), "position.json"), Replace: dir.Replace},
			AtOnce:   atOnce,
			Log:      log,
			Stdout:   cmd.OutOrStdout(),
			Stderr:   cmd.ErrOrStderr(),
			Ready:    func() { service.Notify(log, daemon.SdNotifyReady) },
		}
		return c.Run(ctx)
	}
	return cmd
}
