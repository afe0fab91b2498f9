package cli

import (
	"context"
	"io"
	"os"
	"os/signal"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/config"
)

func runCommand(configFile *string) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Guard the doors, in the foreground",
		Long: `Installs the table, follows knocks and lets sources in and out, until SIGTERM or
SIGINT; what becomes of the table then is up to on_stop. A second signal stops at once. SIGHUP
reads the configuration again: a bad one is refused, and the old one stays in force. Logs to
stderr. Needs CAP_NET_ADMIN and nothing else.`,
		Example: "  nftknockd run -c /etc/nftknock/nftknockd.toml",
		Args:    cobra.NoArgs,
	}
	addStateFlag(cmd, &state)
	socket := addSocketFlag(cmd)
	cmd.Flags().Lookup("socket").Usage += "; empty: none"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runDaemon(*configFile, stateDirOf(state), *socket, cmd.Flags().Changed("socket"), cmd.ErrOrStderr())
	}
	return cmd
}

// runDaemon guards until it is told to stop. Without a control socket it goes on,
// unless the socket was asked for by name.
func runDaemon(configFile string, state stateDir, socket string, socketWanted bool, stderr io.Writer) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP) // from here on: one that comes too early must not end the process
	defer signal.Stop(hangups)

	cfg, err := config.Load(configFile)
	if err != nil {
		return err
	}
	log := newLog(stderr, cfg.LogFormat)
	warn := func(cfg *config.Config) {
		for _, w := range warnings(cfg) {
			log.Warn(w.String())
		}
	}
	warn(cfg)

	// Above this line nothing has touched the system.

	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a second signal has its default action: it ends the process

	control, noControl := listenControl(socket)
	if noControl != nil && socketWanted {
		return noControl
	}
	if control != nil {
		defer control.Close()
	}
	g := newGate(log, state, func(message string) { notify(log, message) })
	if err := g.start(cfg); err != nil {
		return err
	}
	if noControl != nil {
		log.Warn("there is no control socket", "error", noControl)
	}
	g.serveDesk(control, cfg.Metrics.Listen)
	g.tellReady()
	go g.feedWatchdog(ctx)
	context.AfterFunc(ctx, func() { g.tell(daemon.SdNotifyStopping) })
	return g.run(ctx, hangups, func() (*config.Config, error) {
		cfg, err := config.Load(configFile)
		if err == nil {
			warn(cfg)
		}
		return cfg, err
	})
}
