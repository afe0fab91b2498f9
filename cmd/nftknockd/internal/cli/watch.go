package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/control"
)

func watchCommand() *cobra.Command {
	var asJSON, execute bool
	var only []string
	h := hooks{}
	cmd := &cobra.Command{
		Use:   "watch [--exec PROGRAM [ARG...]]",
		Short: "Follow what happens, and run a program for it",
		Long: `Prints a line for each thing that happens: who is let in, put out or expired, attempts that were
refused, scans, reloads, and what is amiss. What was knocked is not shown.

With --exec it also runs a program for each, without a shell: the event is on its standard input as a JSON
object, and in NFTKNOCK_KIND, NFTKNOCK_TIME, NFTKNOCK_DOOR, NFTKNOCK_SOURCE, NFTKNOCK_BY, NFTKNOCK_UNTIL,
NFTKNOCK_COUNT and NFTKNOCK_TEXT. The daemon itself executes nothing. Events that come faster than the
programs end wait, up to some thousand; then some are missed, and an event says how many.`,
		Example: `  nftknockd watch
  nftknockd watch --json | jq .source
  nftknockd watch --only let_in --exec wakeonlan 00:00:5e:00:53:01`,
	}
	cmd.Flags().SetInterspersed(false) // what follows PROGRAM is PROGRAM's
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line: CONTROL.md describes it")
	cmd.Flags().BoolVar(&execute, "exec", false, "run a program for each event; has to be the last flag")
	cmd.Flags().StringSliceVar(&only, "only", nil, "nothing but these `KINDS` of events: "+strings.Join(kindNames(), ", "))
	completeKind := cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp)
	cmd.RegisterFlagCompletionFunc("only", completeKind)
	cmd.Flags().IntVar(&h.atOnce, "at-once", 4, "with --exec: run at most `N` programs at a time")
	cmd.Flags().DurationVar(&h.timeout, "timeout", 30*time.Second, "with --exec: kill a program that takes longer than `DURATION`")
	socket := addSocketFlag(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		return checkWatch(execute, &h, only, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := cmd.OutOrStdout()
		show := func(e control.Event) error {
			_, err := fmt.Fprintln(out, eventLine(e))
			return err
		}
		if asJSON {
			show = func(e control.Event) error { return json.NewEncoder(out).Encode(e) }
		}
		h.stdout, h.stderr = out, cmd.ErrOrStderr()
		if execute {
			if err := h.prepare(args); err != nil {
				return err
			}
			defer h.wait()
		}
		ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
		defer stop()
		context.AfterFunc(ctx, stop)                                    // a second signal does not wait for programs
		ready := func() { daemon.SdNotify(true, daemon.SdNotifyReady) } // programs have nothing to tell
		return control.NewClient(*socket).Watch(ctx, only, ready, func(e control.Event) error {
			if execute {
				h.run(ctx, e)
			}
			return show(e)
		})
	}
	return cmd
}

// checkWatch refuses arguments that make no sense.
func checkWatch(execute bool, h *hooks, only, args []string) error {
	for _, kind := range only {
		if !slices.Contains(kindNames(), kind) {
			return fmt.Errorf("--only: no kind of event is called %q: there are %s", kind, strings.Join(kindNames(), ", "))
		}
	}
	switch {
	case execute && len(args) == 0:
		return errors.New("--exec: name the program to run")
	case !execute && len(args) > 0:
		return fmt.Errorf("%q: programs are run with --exec", args[0])
	case h.atOnce < 1:
		return fmt.Errorf("--at-once: %d is not possible: write 1 or more", h.atOnce)
	case h.timeout <= 0:
		return fmt.Errorf("--timeout: %v is not possible: write a duration such as 30s", h.timeout)
	}
	return nil
}

func kindNames() []string {
	names := make([]string, len(control.Kinds))
	for i, k := range control.Kinds {
		names[i] = string(k)
	}
	return names
}

// eventLine returns an event as a line for people.
func eventLine(e control.Event) string {
	line := []string{e.Time.Local().Format(time.DateTime), fmt.Sprintf("%-8s", e.Kind)}
	if e.Door != "" {
		line = append(line, "door "+e.Door)
	}
	if e.Source != "" {
		line = append(line, e.Source)
	}
	if e.By != "" {
		line = append(line, "by "+e.By)
	}
	switch e.Kind {
	case control.LetIn:
		end := "closed"
		if !e.Until.IsZero() {
			end = e.Until.Local().Format(time.DateTime)
		}
		line = append(line, "until "+end)
	case control.Scan:
		line = append(line, "muted until "+e.Until.Local().Format(time.DateTime))
	case control.Reloaded:
		line = append(line, fmt.Sprintf("doors: %d", len(e.Doors)))
	case control.Lost:
		line = append(line, fmt.Sprintf("%d messages of the kernel's packet log so far", e.Count))
	case control.Missed:
		line = append(line, fmt.Sprintf("%d events: too many came at once", e.Count))
	}
	if e.Text != "" {
		line = append(line, strings.ReplaceAll(e.Text, "\n", "; "))
	}
	return strings.Join(line, "  ")
}
