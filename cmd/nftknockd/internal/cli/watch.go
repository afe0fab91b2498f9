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
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/hooks"
)

func watchCommand() *cobra.Command {
	var asJSON, execute bool
	var only []string
	h := hooks.Runner{}
	cmd := &cobra.Command{
		Use:   "watch [--exec PROGRAM [ARG...]]",
		Short: "Follow what happens, and run a program for it",
		Long: `Prints a line for each event: grants that are made, revoked or expired, attempts that were
refused, scans, reloads, and whether the gate is degraded. Knocks are not shown.

With --exec it also runs a program for each event, without a shell: the event is on its standard
input as a JSON object, and in NFTKNOCK_KIND, NFTKNOCK_TIME, NFTKNOCK_DOOR, NFTKNOCK_SOURCE,
NFTKNOCK_BY, NFTKNOCK_UNTIL, NFTKNOCK_COUNT and NFTKNOCK_TEXT. Each value is checked before it is
passed on; of the text only letters, digits and some punctuation are left. The daemon itself
executes nothing. Events that come faster than the programs end wait, up to some thousand; then
some are missed, and an event says how many.`,
		Example: `  nftknockd watch
  nftknockd watch --json | jq .source
  nftknockd watch --only granted --exec wakeonlan 00:00:5e:00:53:01`,
	}
	cmd.Flags().SetInterspersed(false) // what follows PROGRAM is PROGRAM's
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line: CONTROL.md describes it")
	cmd.Flags().BoolVar(&execute, "exec", false, "run a program for each event; has to be the last flag")
	cmd.Flags().StringSliceVar(&only, "only", nil, "nothing but these `KINDS` of events: "+strings.Join(kindNames(), ", "))
	completeKind := cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp)
	cmd.RegisterFlagCompletionFunc("only", completeKind)
	cmd.Flags().IntVar(&h.AtOnce, "at-once", 4, "with --exec: run at most `N` programs at a time")
	cmd.Flags().DurationVar(&h.Timeout, "timeout", 30*time.Second, "with --exec: kill a program that takes longer than `DURATION`")
	socket := addSocketFlag(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		return checkWatch(execute, &h, only, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := cmd.OutOrStdout()
		show := func(e event.Event) error {
			_, err := fmt.Fprintln(out, e.Line())
			return err
		}
		if asJSON {
			show = func(e event.Event) error { return json.NewEncoder(out).Encode(e) }
		}
		h.Stdout, h.Stderr = out, cmd.ErrOrStderr()
		if execute {
			if err := h.Prepare(args); err != nil {
				return err
			}
			defer h.Wait()
		}
		ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, os.Interrupt)
		defer stop()
		context.AfterFunc(ctx, stop)                                    // a second signal does not wait for programs
		ready := func() { daemon.SdNotify(true, daemon.SdNotifyReady) } // programs have nothing to tell
		return control.NewClient(*socket).Watch(ctx, only, ready, func(e event.Event) error {
			if execute {
				h.Run(ctx, e)
			}
			return show(e)
		})
	}
	return cmd
}

// checkWatch refuses invalid arguments.
func checkWatch(execute bool, h *hooks.Runner, only, args []string) error {
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
	case h.AtOnce < 1:
		return fmt.Errorf("--at-once: invalid value %d: want 1 or more", h.AtOnce)
	case h.Timeout <= 0:
		return fmt.Errorf("--timeout: invalid value %v: want a duration such as 30s", h.Timeout)
	}
	return nil
}

func kindNames() []string {
	names := make([]string, len(event.Kinds))
	for i, k := range event.Kinds {
		names[i] = string(k)
	}
	return names
}
