package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/config"
)

func trialCommand(configFile *string) *cobra.Command {
	length := trialLength(2 * time.Minute)
	var state string
	cmd := &cobra.Command{
		Use:   "trial",
		Short: "Shut the doors, and open them again unless somebody knocks",
		Long: `Installs the table and follows knocks, as "run" does, for a time. As soon as a whole
sequence has let somebody in, the table is kept. Otherwise it is taken away again: when the time is
over, at Ctrl-C, when the terminal hangs up, and when this process is killed, for then the kernel
does it. So nobody is locked out by a mistake.

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

			t := &trial{cfg: cfg, state: stateDirOf(state), show: newCountdown(stderr)}
			who, err := t.run(ctx, time.Duration(length))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%v was let in through door %s: the table is kept.\n", who.Source, who.Door.Name)
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
		return errors.New("write a duration from 10s to 1h, such as 2m")
	}
	*l = trialLength(d)
	return nil
}

// howToRun returns the command that starts the daemon: the unit's, where it is
// installed and reads this file.
func howToRun(configFile string) string {
	if configFile == defaultConfig {
		for _, dir := range []string{"/etc", "/usr/lib", "/lib"} {
			if _, err := os.Stat(dir + "/systemd/system/nftknockd.service"); err == nil {
				return "systemctl enable --now nftknockd"
			}
		}
	}
	return "nftknockd run -c " + configFile
}
