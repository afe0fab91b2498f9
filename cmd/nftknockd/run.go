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
	return &cobra.Command{
		Use:   "run",
		Short: "Guard the doors, in the foreground",
		Long: `Installs the table, follows knocks and lets sources in and out, until SIGTERM or
SIGINT; what becomes of the table then is up to on_stop. A second signal stops at once. Logs to
stderr. Needs CAP_NET_ADMIN and nothing else.`,
		Example: "  nftknockd run -c /etc/nftknock/nftknockd.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDaemon(*configFile, cmd.ErrOrStderr())
		},
	}
}

func runDaemon(configFile string, stderr io.Writer) error {
	cfg, err := config.Load(configFile)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	for _, w := range warnings(cfg) {
		log.Warn(w.String())
	}

	// Above this line nothing has touched the system.

	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a second signal has its default action: it ends the process

	return serve(ctx, cfg, log, func() { notify(log, daemon.SdNotifyReady) })
}

// notify tells the service manager, if there is one (sd_notify(3)).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}
