package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/setup"
	"nftknock/cmd/nftknockd/internal/share"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

func trialCommand(configFile *string) *cobra.Command {
	length := trialLength(2 * time.Minute)
	var state string
	cmd := &cobra.Command{
		Use:   "trial",
		Short: "Try a configuration, and take it back unless it lets somebody in",
		Long: `Puts a configuration in force for a time. It stays in force as soon as a whole knock of it has
let somebody in and a new connection to a guarded port has come by that. Otherwise what was
before is back, in one transaction, and whoever is in stays in: when the time is over, at
Ctrl-C, when the terminal hangs up, when this process or the daemon is killed, and after a
reboot. So nobody is locked out by a mistake.

The running daemon tries it: the first door as well as any later change. A daemon that has
stopped, and does not keep to the time, is killed. A configuration that has passed is put
where the daemon reads it; one that has not is not taken by a start of the daemon until it
has passed, or a reload puts it in force all the same.

Without a daemon this process guards, with a table that the kernel takes away with it
(Linux 5.12 or newer; there must be no table yet). When that has passed, the unit is enabled
and started, where it is installed and reads this file; otherwise this process goes on
guarding until it is stopped, whether or not its terminal hangs up.

Knock from a new connection: those that are up stay up, and prove nothing.`,
		Example: `  nftknockd trial
  nftknockd trial --for 5m -c ./nftknockd.toml`,
		Args: usage.Exactly(),
	}
	cmd.Flags().Var(&length, "for", "how long to wait for a knock: a `DURATION` from 10s to 1h")
	command.AddState(cmd, &state)
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		file, err := filepath.Abs(*configFile)
		if err != nil {
			return err
		}
		cfg, err := config.Load(file)
		if err != nil {
			return err
		}
		if len(cfg.Doors) == 0 {
			return fmt.Errorf("%s has no door: there is nothing to try", file)
		}
		if obstacles := setup.DaemonObstacles(file, cfg); len(obstacles) > 0 {
			return errors.New(strings.Join(obstacles, "\n"))
		}
		t := &tryout{
			file: file, cfg: cfg, length: time.Duration(length), state: statedir.Find(state), socket: *socket,
			out: cmd.OutOrStdout(), show: newCountdown(cmd.ErrOrStderr()),
		}
		for _, w := range cfg.WarningsHere() {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
		}

		// Above this line nothing has touched the system.

		// Ctrl-Z would stop the process, and with it the time that the trial takes.
		signal.Ignore(unix.SIGTSTP)
		ctx, stop := signal.NotifyContext(context.Background(), unix.SIGHUP, unix.SIGTERM, os.Interrupt)
		defer stop()
		client := api.NewClient(*socket)
		status, err := client.Status()
		watching, cancel := context.WithCancel(context.Background())
		defer cancel()
		seen := trial.WatchArrivals(watching, cfg)
		switch {
		case errors.Is(err, api.ErrNotRunning):
			err = t.alone(ctx, stop)
		case err == nil:
			err = t.byDaemon(ctx, client, status)
		}
		if text := seen.String(); err != nil && text != "" {
			err = fmt.Errorf("%w; %s", err, text)
		}
		return err
	}
	return cmd
}

// A tryout is a trial that the command has been asked for.
type tryout struct {
	file   string
	cfg    *config.Config
	length time.Duration
	state  statedir.Dir
	socket string // of the daemon, or of this process where there is none
	out    io.Writer
	show   *countdown
}

// byDaemon has the running daemon try it.
func (t *tryout) byDaemon(ctx context.Context, client *api.Client, status *status.Status) error {
	begun := false
	err := client.Trial(ctx, api.TrialRequest{Snapshot: t.cfg.Snapshot(), For: t.length.String()}, func(news api.TrialNews) {
		switch {
		case !begun:
			begun = true
			t.show.Begin(t.cfg, t.length)
		case news.Knocked != nil:
			t.show.Knocked(*news.Knocked)
		case news.Passed != nil:
			t.show.End()
			fmt.Fprintf(t.out, "%s came in through door %s: the configuration is in force.\n", news.Passed.Source, news.Passed.Door)
		case news.Left > 0:
			t.show.Left(time.Duration(news.Left * float64(time.Second)))
		}
	})
	t.show.End()
	if err != nil {
		return err
	}
	return t.settle(status.Daemon.File)
}

// settle puts the file that has passed where the daemon reads it.
func (t *tryout) settle(daemonFile string) error {
	if daemonFile == t.file || command.SameFile(daemonFile, t.file) {
		enableUnit(t.file)
		return nil
	}
	text, err := os.ReadFile(t.file)
	if err == nil {
		err = checkElsewhere(t.cfg, filepath.Dir(daemonFile))
	}
	if err == nil {
		err = config.WriteFile(daemonFile, text)
	}
	if err != nil {
		return fmt.Errorf("the daemon still reads %s at its next start: %w\nhint: cp %[3]s %[1]s", daemonFile, err, t.file)
	}
	fmt.Fprintf(t.out, "It has taken the place of %s.\n", daemonFile)
	enableUnit(daemonFile)
	return nil
}

// checkElsewhere returns an error if a configuration would name other secrets in another
// folder.
func checkElsewhere(cfg *config.Config, folder string) error {
	_, secrets := cfg.Files()
	for _, s := range secrets {
		if filepath.Dir(s) != folder {
			return fmt.Errorf("it names %s, which is not in %s: copy that too", s, folder)
		}
	}
	return nil
}

// alone tries it without a daemon, and then hands over to the unit or goes on guarding.
func (t *tryout) alone(ctx context.Context, stop func()) error {
	stopNow := context.AfterFunc(ctx, stop) // a second signal ends the process, and with it the table
	metrics := control.NewMetrics()
	deps := gate.Deps{
		Log:   slog.New(slog.NewTextHandler(t.show, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Bus:   event.NewBus(metrics.Count),
		State: t.state,
		File:  t.file,
		Load:  t.loadToKeep,
	}
	var servers control.Servers
	stopServing := func() { servers.Stop(); servers = nil }
	serve := func(g trial.Gate) func() {
		listener, err := control.ListenAt(t.socket)
		if err != nil {
			deps.Log.Warn("no control socket: status and the other commands do not work", "error", err)
		}
		servers = control.Serve(share.Gate{Gate: g}, metrics, listener, netip.AddrPort{}, deps.Log)
		return stopServing
	}
	handedOver := false
	err := trial.Alone(ctx, t.cfg, deps, t.length, t.show, serve, func(who event.Event) context.Context {
		fmt.Fprintf(t.out, "%s came in through door %s: the table is kept.\n", who.Source, who.Door)
		if unitReads(t.file) && startUnit(t.out) == nil {
			stopServing() // the unit's daemon takes the socket over, too
			handedOver = true
			return nil
		}
		stopNow()
		signal.Ignore(unix.SIGHUP)
		guard, _ := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
		fmt.Fprintf(t.out, "This process goes on guarding, until it is stopped. For good: nftknockd run -c %s\n", t.file)
		return guard
	})
	if err == nil && handedOver {
		return t.awaitUnit()
	}
	return err
}

// loadToKeep reads the file anew for a process that is not the daemon: the table outlives it.
func (t *tryout) loadToKeep() (*config.Config, error) {
	cfg, err := config.Load(t.file)
	if err == nil {
		cfg.OnStop = config.Keep
	}
	return cfg, err
}

// awaitUnit waits until the unit's daemon answers.
func (t *tryout) awaitUnit() error {
	client := api.NewClient(api.DefaultSocket)
	for range 300 {
		if _, err := client.Status(); err == nil {
			fmt.Fprintln(t.out, "nftknockd.service guards now, and from boot on.")
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the doors are shut, and nftknockd.service does not guard them yet, but systemd goes on trying: " +
		"look at `systemctl status nftknockd`")
}

// unitReads reports whether the unit is installed and reads a file.
func unitReads(file string) bool {
	if file != config.DefaultFile {
		return false
	}
	for _, dir := range []string{"/etc", "/usr/lib", "/lib"} {
		if _, err := os.Stat(dir + "/systemd/system/" + unitName); err == nil {
			_, err := os.Stat("/run/systemd/system") // sd_booted(3)
			return err == nil
		}
	}
	return false
}

const unitName = "nftknockd.service"

// enableUnit has the unit start at boot, if the daemon that reads a file is the unit's.
func enableUnit(file string) {
	if unitReads(file) {
		exec.Command("systemctl", "--quiet", "enable", unitName).Run() // where it cannot, the administrator has said so
	}
}

// startUnit asks for the unit, and does not wait: it can begin only when this process has
// given up the packet log, and systemd goes on trying until then.
func startUnit(out io.Writer) error {
	for _, args := range [][]string{{"--quiet", "enable", unitName}, {"start", "--no-block", unitName}} {
		if said, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(out, "systemctl %s: %s", strings.Join(args, " "), said)
			return err
		}
	}
	return nil
}

// A trialLength is how long a trial takes, as a flag.
type trialLength time.Duration

func (l *trialLength) String() string { return time.Duration(*l).String() }
func (l *trialLength) Type() string   { return "duration" }

func (l *trialLength) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 10*time.Second || d > time.Hour {
		return errors.New("want a duration from 10s to 1h, such as 2m")
	}
	*l = trialLength(d)
	return nil
}
