package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/journal"
	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/cmd/nftknockd/internal/service"
	"nftknock/cmd/nftknockd/internal/share"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

func runCommand(configFile *string) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Guard the doors, in the foreground",
		Long: `Installs the table, follows knocks, and grants and revokes access, until SIGTERM or SIGINT;
what becomes of the table then is up to on_stop. A second signal stops at once. SIGHUP reads
the configuration anew: a bad one is refused, and the old one stays in force. Logs to stderr.
Needs CAP_NET_ADMIN and nothing else.`,
		Example: "  nftknockd run -c /etc/nftknock/nftknockd.toml",
		Args:    usage.Exactly(),
	}
	command.AddState(cmd, &state)
	socket := command.AddSocket(cmd)
	cmd.Flags().Lookup("socket").Usage += "; empty: none"
	companions := []companion{{command: "hooks", Companion: control.HooksCompanion}, {command: "fleet", Companion: control.FleetCompanion}}
	for i := range companions {
		companions[i].addFlag(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		named := cmd.Flags().Changed("socket")
		for i := range companions {
			if c := &companions[i]; !named && c.socket == "" {
				c.socket = c.FindSocket()
			}
		}
		return runDaemon(*configFile, statedir.Find(state), *socket, named, companions, cmd.ErrOrStderr())
	}
	return cmd
}

// A companion is one of the daemon's, and where it is served.
type companion struct {
	*control.Companion
	command string
	socket  string
}

func (c *companion) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.socket, c.command+"-socket", "", fmt.Sprintf(
		"socket `PATH` for \"nftknockd %s\", which may do no more there than that takes (default %s if its directory is there and --socket is not given)",
		c.command, c.Socket))
}

// runDaemon guards until it is told to stop. Without a control socket it goes on,
// unless the socket was asked for by name.
func runDaemon(configFile string, state statedir.Dir, socket string, socketWanted bool, companions []companion, stderr io.Writer) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP) // from here on: one that comes too early must not end the process
	defer signal.Stop(hangups)

	configFile, err := filepath.Abs(configFile) // as others see it, from another folder
	if err != nil {
		return err
	}
	load := func() (*config.Config, error) { return config.Load(configFile) }
	first, err := lastgood.Choose(load, state)
	if err != nil {
		return err
	}
	cfg := first.Config
	log := journal.New(stderr, cfg.LogFormat)

	// Above this line nothing has touched the system.

	ctx, stop := command.UntilSignal()
	defer stop()

	listener, noSocket := control.ListenAt(socket)
	if noSocket != nil && socketWanted {
		return noSocket
	}
	if listener != nil {
		defer listener.Close()
	}
	metrics := control.NewMetrics()
	events := event.OpenJournal(state.Events(), state.Replace, log)
	bus := events.NewBus(metrics.Count)
	defer record(events, bus, log)()
	g, err := gate.Start(ctx, first, gate.Deps{
		Log:     log,
		Bus:     bus,
		State:   state,
		File:    configFile,
		Load:    load,
		InForce: func(cfg *config.Config) { warn(log, cfg) },
		Notify:  func(state string) { service.Notify(log, state) },
	})
	if err != nil {
		return err
	}
	if noSocket != nil {
		log.Warn("guarding without a control socket", "error", noSocket)
	}
	answering := share.Gate{Gate: trial.Gate{Gate: g, Log: log, State: state}}
	servers := control.Serve(answering, metrics, listener, cfg.Metrics.Listen, log)
	go reloadAt(ctx, hangups, g)

	companionsCtx, endCompanions := context.WithCancel(ctx)
	var servingCompanions sync.WaitGroup
	for _, c := range companions {
		servingCompanions.Go(func() { c.Serve(companionsCtx, answering, c.socket, log) })
	}
	defer servingCompanions.Wait()
	defer endCompanions()

	// The servers end before the gate that they ask.
	serving, end := context.WithCancel(context.Background())
	defer end()
	context.AfterFunc(ctx, func() {
		servers.Stop()
		end()
	})
	return g.Run(serving)
}

// record writes events to the journal, until what it returns is called and all are written.
func record(events *event.Journal, bus *event.Bus, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var recording sync.WaitGroup
	recording.Go(func() {
		if err := events.Record(ctx, bus); err != nil {
			log.Error("events are not recorded", "error", err)
		}
	})
	return func() {
		cancel()
		recording.Wait()
	}
}

// reloadAt reloads at each hangup. The gate logs what comes of it.
func reloadAt(ctx context.Context, hangups <-chan os.Signal, g *gate.Gate) {
	for {
		select {
		case <-hangups:
			g.Reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// warn logs what is unwise in a configuration.
func warn(log *slog.Logger, cfg *config.Config) {
	for _, w := range cfg.WarningsHere() {
		log.Warn(w.String())
	}
}
