package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/cmd/nftknockd/internal/term"
	"nftknock/config"
)

func trialCommand(configFile *string) *cobra.Command {
	length := trialLength(2 * time.Minute)
	var state string
	cmd := &cobra.Command{
		Use:   "trial",
		Short: "Shut the doors, and open them again unless somebody knocks",
		Long: `Installs the table and follows knocks, as "run" does, for a time. As soon as a whole sequence
has let somebody in, the table is kept. Otherwise it is removed again: when the time is over, at
Ctrl-C, when the terminal hangs up, and, by the kernel, when this process is killed. So nobody is
locked out by a mistake.

Knock from a new connection: those that are up stay up, and prove nothing. The daemon must be
stopped, and there must be no table yet. Needs CAP_NET_ADMIN, and Linux 5.12 or newer.`,
		Example: `  nftknockd trial
  nftknockd trial --for 5m -c ./nftknockd.toml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*configFile)
			if err != nil {
				return err
			}
			if len(cfg.Doors) == 0 {
				return fmt.Errorf("%s has no door: there is nothing to try", *configFile)
			}
			stderr := cmd.ErrOrStderr()
			for _, w := range warnings(cfg) {
				fmt.Fprintf(stderr, "warning: %v\n", w)
			}

			// Above this line nothing has touched the system.

			// Ctrl-Z would stop the process, and with it the time that the trial takes.
			signal.Ignore(unix.SIGTSTP)
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGHUP, unix.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process, and with it the table

			show := newCountdown(stderr)
			deps := gate.Deps{
				Log:   slog.New(slog.NewTextHandler(show, &slog.HandlerOptions{Level: slog.LevelWarn})),
				Bus:   event.NewBus(),
				State: statedir.Find(state),
			}
			who, err := gate.Trial(ctx, cfg, deps, time.Duration(length), show)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s was let in through door %s: the table is kept.\n", who.Source, who.Door)
			_, err = fmt.Fprintf(out, "Nobody else gets in until the daemon runs, which hears the knocks: %s\n", howToRun(*configFile))
			return err
		},
	}
	cmd.Flags().Var(&length, "for", "how long to wait for a knock: a `DURATION` from 10s to 1h")
	addStateFlag(cmd, &state)
	return cmd
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

// howToRun returns the command that starts the daemon: the unit's, where it is
// installed and reads this file.
func howToRun(configFile string) string {
	if configFile == DefaultConfig {
		for _, dir := range []string{"/etc", "/usr/lib", "/lib"} {
			if _, err := os.Stat(dir + "/systemd/system/nftknockd.service"); err == nil {
				return "systemctl enable --now nftknockd"
			}
		}
	}
	return "nftknockd run -c " + configFile
}

// betweenLines is the time between two lines, where there is no terminal to write over the
// last one.
const betweenLines = 30 * time.Second

// A countdown shows how long a trial goes on: on a terminal in one line that is written
// over, otherwise in a line now and then. What is written to it, a log, goes in between.
type countdown struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	last time.Duration // shown last
	open bool          // a line of the countdown has no end yet
}

func newCountdown(w io.Writer) *countdown { return &countdown{w: w, terminal: term.IsTerminal(w)} }

func (c *countdown) Begin(cfg *config.Config, length time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range cfg.Doors {
		fmt.Fprintf(c.w, "door %s guards %s\n", d.Name, portList(d.Ports))
	}
	fmt.Fprintf(c.w, `The doors are shut, on trial. Knock within %v, then make a NEW connection: what is up stays up.
Somebody let in keeps the table; otherwise it goes, also by Ctrl-C, a hangup, or a kill.
`, length)
	c.last = length
}

func (c *countdown) Left(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d = d.Round(time.Second)
	switch {
	case c.terminal:
		fmt.Fprintf(c.w, "\r%-20s", fmt.Sprintf("%d:%02d left", int(d.Minutes()), int(d.Seconds())%60))
		c.open = true
	case c.last-d >= betweenLines:
		fmt.Fprintf(c.w, "%v left\n", d)
		c.last = d
	}
}

// end ends the line that is being written over.
func (c *countdown) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
}

func (c *countdown) endLine() {
	if c.open {
		fmt.Fprintln(c.w)
		c.open = false
	}
}

func (c *countdown) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
	return c.w.Write(line)
}
