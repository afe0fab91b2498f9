package main

import (
	"context"
	"io"
	"log/slog"
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(*configFile, stateDirOf(state), cmd.ErrOrStderr())
		},
	}
	addStateFlag(cmd, &state)
	return cmd
}

func runDaemon(configFile string, state stateDir, stderr io.Writer) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP) // from here on: one that comes too early must not end the process
	defer signal.Stop(hangups)

	log := slog.New(slog.NewTextHandler(stderr, nil))
	load := func() (*config.Config, error) {
		cfg, err := config.Load(configFile)
		if err == nil {
			for _, w := range warnings(cfg) {
				log.Warn(w.String())
			}
		}
		return cfg, err
	}
	cfg, err := load()
	if err != nil {
		return err
	}

	// Above this line nothing has touched the system.

	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a second signal has its default action: it ends the process

	g := newGate(log, state, func(message string) { notify(log, message) })
	if err := g.start(cfg); err != nil {
		return err
	}
	g.tellReady()
	go g.feedWatchdog(ctx)
	context.AfterFunc(ctx, func() { g.tell(daemon.SdNotifyStopping) })
	return g.run(ctx, hangups, load)
}
