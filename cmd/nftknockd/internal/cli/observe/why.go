package observe

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/words"
)

func whyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why ADDR",
		Short: "Say what the gate last saw of an address, and why it is not in",
		Long: `Says whether an address is let in, and if not, why: it is muted, its knocks were wrong or too slow,
its code was spent, its time is over, or no knock of it was seen, and then what to look at. It tells
how far knocks came, and never a port. The daemon remembers some thousand attempts that failed, of all
sources, since it was started.

To follow a knock live there is "nftknockd watch --attempts --source ADDR".`,
		Example:           "  nftknockd why 203.0.113.7\n  nftknockd why fe80::1%eth0",
		Args:              usage.Exactly("ADDR"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object: CONTROL.md describes it")
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := command.AskDaemon(cmd, *socket)
		if err != nil {
			return err
		}
		trace, err := client.Trace(args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), trace)
		}
		_, err = io.WriteString(cmd.OutOrStdout(), explain(trace, time.Now()))
		return err
	}
	return cmd
}

// explain says in plain words what is known of a source.
func explain(t *status.Trace, now time.Time) string {
	e := explanation{now: now}
	e.verdict(t)
	for _, step := range t.UnderWay {
		e.add("under way: %s, %s of its knocks have come, the first %s", where(step), progress(step), e.when(step.Time))
	}
	const most = 8
	for _, step := range t.Failed[:min(len(t.Failed), most)] {
		e.failure(step)
	}
	if left := len(t.Failed) - most; left > 0 {
		e.add("and %s before that failed", words.Count(left, "more attempt"))
	}
	e.events(t)
	if t.Degraded != "" {
		e.add("the gate is degraded: %s", strings.ReplaceAll(t.Degraded, "\n", "; "))
	}
	if len(e.lines) == 0 {
		e.nothing(t)
	}
	return e.head + strings.Join(e.lines, "")
}

type explanation struct {
	now   time.Time
	head  string
	lines []string
}

func (e *explanation) add(format string, args ...any) {
	e.lines = append(e.lines, "  "+fmt.Sprintf(format, args...)+"\n")
}

func (e *explanation) verdict(t *status.Trace) {
	in := t.AlwaysAllowed != "" || len(t.Grants) > 0
	switch {
	case t.AlwaysAllowed != "":
		e.head = fmt.Sprintf("%s never needs to knock: %s is in always_allow\n", t.Source, t.AlwaysAllowed)
	case len(t.Grants) > 0:
		e.head = t.Source + " is let in\n"
	default:
		e.head = t.Source + " is not let in\n"
	}
	for _, g := range t.Grants {
		e.add("granted through door %s until %s, as %s, by %s", g.Door, event.Until(g.Until), g.Source, or(shorten(g.By, 64), "nft"))
	}
	if in {
		e.add("if it cannot connect all the same, look at the other firewall rules (nft list ruleset) and at the service")
	}
	if !t.MutedUntil.IsZero() {
		e.add("muted until %s, as it or its network has touched a decoy or knocked a wrong code: its knocks are not looked at", event.Until(t.MutedUntil))
		e.add("to listen to it again at once: nftknockd unmute %s", t.Source)
	}
}

// failure says how an attempt ended.
func (e *explanation) failure(step event.Event) {
	s := step.Step
	switch {
	case s.Outcome == "too slow":
		e.add("too slow: %s, %s of its knocks came within seq_timeout, which was over %s", where(step), progress(step), e.when(step.Time))
	case s.Count == 0:
		e.add("wrong knock: %s, one of its knocks, but not the first, %s", where(step), e.when(step.Time))
	default:
		e.add("wrong knock: %s, %s of its knocks, and then another one than the next, %s", where(step), progress(step), e.when(step.Time))
	}
}

// events says what has happened, if the rest does not: the latest comes first.
func (e *explanation) events(t *status.Trace) {
	over := len(t.Grants) > 0 // nothing is to be said of a grant
	for _, happened := range t.Events {
		when := e.when(happened.Time)
		switch happened.Kind {
		case event.Refused:
			e.add("refused at door %s: %s, %s", happened.Door, happened.Text, when)
		case event.Scan:
			e.add("taken for a scanner %s", when)
		case event.Revoked:
			e.add("revoked at door %s, by %s, %s", happened.Door, happened.By, when)
			over = true
		case event.Granted:
			if over {
				continue
			}
			over = true
			if !happened.Until.IsZero() && e.now.After(happened.Until) {
				e.add("granted through door %s %s, until %s: that is over, knock again", happened.Door, when, event.Until(happened.Until))
			} else {
				e.add("granted through door %s %s, and taken out of the set by somebody else", happened.Door, when)
			}
		}
	}
}

// nothing says what to look at when nothing was seen.
func (e *explanation) nothing(t *status.Trace) {
	e.add("no knock of it was seen since the daemon was started %s", e.when(t.Started))
	e.add("what it sends to a guarded port is dropped, and of that only the number is known: SHUT in \"nftknockd status\"")
	guarded := "all interfaces but loopback are guarded"
	if len(t.Interfaces) > 0 {
		guarded = "guarded is what arrives at " + strings.Join(t.Interfaces, ", ")
	}
	e.add("%s: does it come in there, under this address? (ip route get %s)", guarded, t.Source)
	for _, w := range t.Warnings {
		e.add("%s", w)
	}
	if t.Heard == 0 {
		e.add("no knock of anybody has arrived: does something before this host drop them?")
	} else {
		e.add("packets from others have arrived at knock ports and decoys, %d in all, the latest %s", t.Heard, e.when(t.LastHeard))
	}
	e.add("knocks on ports of no sequence, and with the other protocol (TCP for UDP), are not seen: compare with the configuration")
	e.add("what arrives shows: tcpdump -ni any host %s", t.Source)
}

// when returns a time as people say it.
func (e *explanation) when(t time.Time) string {
	return fmt.Sprintf("%s ago (%s)", span(e.now.Sub(t)), t.Local().Format(time.DateTime))
}

func where(step event.Event) string {
	if step.Step.Closing {
		return "door " + step.Door + " (to close)"
	}
	return "door " + step.Door
}

func progress(step event.Event) string { return fmt.Sprintf("%d of %d", step.Step.Count, step.Step.Of) }

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
