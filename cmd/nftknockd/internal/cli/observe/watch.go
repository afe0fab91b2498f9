package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/hooks"
)

func watchCommand() *cobra.Command {
	var asJSON, execute bool
	var what api.Watch
	h := hooks.Runner{}
	cmd := &cobra.Command{
		Use:   "watch [--attempts] [--source ADDR] [--exec PROGRAM [ARG...]]",
		Short: "Follow what happens, and run a program for it",
		Long: `Prints a line for each event: grants that are made, revoked or expired, attempts that were
refused, scans, reloads, and whether the gate is degraded.

With --attempts it also prints each step of a knock: the source, the door, how many knocks of its
sequence have counted, such as "2 of 3", and why it starts over: a wrong knock, which is one of the
sequence's that is not the next; too slow, for seq_timeout; or muted, and so not looked at. It never
prints a port. A knock on a port that is in no sequence is none, and does not show up. When more than
some dozens of steps come in a second the rest is left out, and a line says how many; with --source
ADDR only those of one address or prefix count. "nftknockd why ADDR" says what was before.

With --exec it also runs a program for each event, without a shell: the event is on its standard
input as a JSON object, and in NFTKNOCK_KIND, NFTKNOCK_TIME, NFTKNOCK_DOOR, NFTKNOCK_SOURCE,
NFTKNOCK_BY, NFTKNOCK_KEY, NFTKNOCK_UNTIL, NFTKNOCK_COUNT and NFTKNOCK_TEXT. Each value is checked before it is
passed on; of the text only letters, digits and some punctuation are left. The daemon itself
executes nothing. Events that come faster than the programs end wait, up to some thousand; then
some are missed, and an event says how many.`,
		Example: `  nftknockd watch
  nftknockd watch --attempts --source 203.0.113.7
  nftknockd watch --json | jq .source
  nftknockd watch --only granted --exec wakeonlan 00:00:5e:00:53:01`,
	}
	cmd.Flags().SetInterspersed(false) // what follows PROGRAM is PROGRAM's
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line: CONTROL.md describes it")
	cmd.Flags().BoolVar(&what.Attempts, "attempts", false, "show each step of a knock, too")
	cmd.Flags().StringVar(&what.Source, "source", "", "nothing but what is about `ADDR`, an address or a prefix")
	cmd.Flags().BoolVar(&execute, "exec", false, "run a program for each event; has to be the last flag")
	cmd.Flags().StringSliceVar(&what.Kinds, "only", nil, "nothing but these `KINDS` of events: "+strings.Join(kindNames(), ", "))
	cmd.RegisterFlagCompletionFunc("source", cobra.NoFileCompletions)
	completeKind := cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp)
	cmd.RegisterFlagCompletionFunc("only", completeKind)
	cmd.Flags().IntVar(&h.AtOnce, "at-once", 4, "with --exec: run at most `N` programs at a time")
	cmd.Flags().DurationVar(&h.Timeout, "timeout", 30*time.Second, "with --exec: kill a program that takes longer than `DURATION`")
	socket := command.AddSocket(cmd)
	cmd.Args = func(_ *cobra.Command, args []string) error {
		return checkWatch(execute, &h, what, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
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
		ctx, stop := command.UntilSignal()
		defer stop()
		ready := func() { daemon.SdNotify(true, daemon.SdNotifyReady) } // programs have nothing to tell
		return client.Watch(ctx, what, ready, func(e event.Event) error {
			if execute {
				h.Run(ctx, e)
			}
			return show(e)
		})
	}
	return cmd
}

// checkWatch refuses invalid arguments.
func checkWatch(execute bool, h *hooks.Runner, what api.Watch, args []string) error {
	for _, kind := range what.Kinds {
		if !slices.Contains(kindNames(), kind) {
			return fmt.Errorf("--only: no kind of event is called %q: there are %s", kind, strings.Join(kindNames(), ", "))
		}
	}
	switch {
	case execute && what.Attempts:
		return errors.New("--attempts: programs are run for events only: leave out --exec")
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
