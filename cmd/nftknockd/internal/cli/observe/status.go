package observe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/usage"
	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/cli/command"
	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/term"
)

func statusCommand(configFile *string) *cobra.Command {
	var asJSON, decoys bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the doors, and who is let in",
		Long: `Shows who is let in through which door, since when, for how long, and by what: a knock or an
administrator. GRANTED counts the connections and flows that a door has let in, SHUT the packets to
its ports that no door let in, since the table was installed. Who is muted is shown, too, the
latest first; "nftknockd unmute" listens to them again. Sequences are not shown, and the decoys,
which are as secret, only with --decoys, also with --json.

While the daemon is down it reads the kernel's table, which takes CAP_NET_ADMIN, and says so. If
there is no table, and so nothing is guarded, the exit status is 1.`,
		Example: "  nftknockd status\n  nftknockd status --json | jq -r '.grants[].source'",
		Args:    usage.Exactly(),
	}
	var state string
	command.AddState(cmd, &state)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object: CONTROL.md describes it")
	cmd.Flags().BoolVar(&decoys, "decoys", false, "list the decoys, which are secret")
	socket := command.AddSocket(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var shown *status.Status
		client, err := command.AskDaemon(cmd, *socket)
		if err == nil {
			shown, err = client.Status()
		}
		if errors.Is(err, api.ErrNotRunning) {
			// What the kernel knows.
			shown, err = status.Kernel(lastgood.Table(*configFile, statedir.Find(state), cmd.ErrOrStderr()))
		}
		if err != nil {
			return err
		}
		if shown.Daemon != nil && !decoys {
			shown.Daemon.Decoys = nil
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), shown)
		} else {
			err = printStatus(cmd.OutOrStdout(), shown, decoys)
		}
		if err == nil && !shown.Exists {
			err = command.ErrReported
		}
		return err
	}
	return cmd
}

func printJSON(w io.Writer, v any) error {
	lines := json.NewEncoder(w)
	lines.SetIndent("", "  ")
	return lines.Encode(v)
}

func printStatus(w io.Writer, s *status.Status, decoys bool) error {
	page := page{style: styleOf(w)}
	page.headline(s)
	if s.Daemon != nil && s.Daemon.Fleet != nil {
		page.fleet(s.Daemon.Fleet)
	}
	page.doors(s.Doors)
	page.grants(s.Grants)
	if s.Daemon != nil {
		page.muted(s.Daemon.MutedSources, s.Daemon.Muted)
	}
	if decoys && s.Daemon != nil {
		page.decoys(s.Daemon.Decoys)
	}
	_, err := w.Write(page.Bytes())
	return err
}

// A page is what `nftknockd status` prints, 80 columns wide.
type page struct {
	bytes.Buffer
	style
}

// A style is how to stress something on a terminal; empty elsewhere.
type style struct{ bold, red, plain string }

func styleOf(w io.Writer) style {
	if !term.InColour(w) {
		return style{}
	}
	return style{"\x1b[1m", "\x1b[31m", "\x1b[0m"}
}

func (p *page) headline(s *status.Status) {
	switch {
	case s.Running && s.Daemon.Degraded != "":
		fmt.Fprintf(p, "%sdegraded: %s%s\n", p.red, strings.ReplaceAll(s.Daemon.Degraded, "\n", "; "), p.plain)
	case s.Running && !s.Daemon.TrialUntil.IsZero():
		fmt.Fprintf(p, "on trial: what was before comes back in %s\n", span(time.Until(s.Daemon.TrialUntil)))
	case s.Running && !s.Exists:
		fmt.Fprintf(p, "%sthere is no table%s: nothing is guarded\n", p.red, p.plain)
	case s.Running && len(s.Doors) == 0:
		fmt.Fprintf(p, "no door is configured: nothing is guarded\n")
	case s.Running:
		fmt.Fprintf(p, "guarding\n")
	case s.Exists:
		fmt.Fprintf(p, "%snftknockd is not running%s: nobody new gets in; this is what the kernel holds\n", p.red, p.plain)
	default:
		fmt.Fprintf(p, "%snftknockd is not running, and there is no table%s: nothing is guarded\n", p.red, p.plain)
	}
	fmt.Fprintf(p, "table inet %s", s.Table)
	switch {
	case !s.Exists:
		fmt.Fprint(p, ", which is missing")
	case s.Owned:
		fmt.Fprint(p, ", owned")
	}
	fmt.Fprintln(p)
	if d := s.Daemon; d != nil {
		on := "every interface but loopback"
		if len(d.Interfaces) > 0 {
			on = strings.Join(d.Interfaces, ", ")
		}
		fmt.Fprintf(p, "guards what arrives on %s\n", on)
		for _, w := range d.Warnings {
			fmt.Fprintf(p, "%swarning%s: %s\n", p.red, p.plain, w)
		}
		fmt.Fprintf(p, "up %s; %d in progress; %d muted; %d log messages lost\n",
			span(seconds(d.Uptime)), d.InProgress, d.Muted, d.MessagesLost)
	}
}

// fleet says how the fleet is.
func (p *page) fleet(f *status.Fleet) {
	fmt.Fprintf(p, "fleet %s: ", f.Group)
	switch {
	case f.Reported.IsZero():
		fmt.Fprintf(p, "%snothing is shared%s: nftknock-fleet.service does not run, or has no key\n", p.red, p.plain)
		return
	case !f.Connected:
		fmt.Fprintf(p, "%snot connected to NATS%s: this gate works alone\n", p.red, p.plain)
		if f.Error != "" {
			fmt.Fprintf(p, "  %s\n", f.Error)
		}
		return
	}
	others := "no other gate is seen"
	if len(f.Gates) > 0 {
		names := make([]string, len(f.Gates))
		for i, g := range f.Gates {
			names[i] = g.Name
		}
		others = "with " + shorten(strings.Join(names, ", "), 40)
	}
	fmt.Fprintf(p, "%s is connected, %s; lag %v\n", f.Gate, others, seconds(f.Lag).Round(100*time.Microsecond))
}

func (p *page) doors(doors []status.Door) {
	if len(doors) == 0 {
		return
	}
	p.table("DOOR\tGRANTED\tSHUT\tPORTS", func(row func(...any)) {
		for _, d := range doors {
			if len(d.Ports) == 0 {
				row(d.Name, "-", "-", "none: a trigger")
				continue
			}
			row(d.Name, d.Granted, d.Shut, shorten(strings.Join(d.Ports, ", "), 30))
		}
	})
}

func (p *page) grants(grants []status.Grant) {
	if len(grants) == 0 {
		fmt.Fprintln(p, "\nno grants")
		return
	}
	now := time.Now()
	p.table("DOOR\tSOURCE\tBY\tSINCE\tLEFT", func(row func(...any)) {
		for _, grant := range grants {
			since, left := "-", "forever"
			if !grant.Since.IsZero() {
				since = span(now.Sub(grant.Since))
			}
			if !grant.Until.IsZero() {
				left = span(grant.Until.Sub(now))
			}
			by := shorten(grant.By, 5)
			switch {
			case by == "":
				by = "nft" // somebody has added the element with nft
			case grant.Key != "":
				by = shorten(fmt.Sprintf("%s (%s)", by, grant.Key), 16)
			}
			row(grant.Door, grant.Source, by, since, left)
		}
	})
}

// muted shows who is not listened to, of as many as a person reads.
func (p *page) muted(sources []status.MutedSource, total int) {
	if total == 0 {
		return
	}
	const most = 20
	shown := sources[:min(len(sources), most)]
	p.table("MUTED\tLEFT", func(row func(...any)) {
		for _, m := range shown {
			row(m.Source, span(time.Until(m.Until)))
		}
	})
	if more := total - len(shown); more > 0 {
		fmt.Fprintf(p, "… and %d more\n", more)
	}
}

func (p *page) decoys(decoys []string) {
	if len(decoys) == 0 {
		fmt.Fprintln(p, "\nthere are no decoys")
		return
	}
	fmt.Fprintf(p, "\n%sDECOYS%s\n", p.bold, p.plain)
	const inLine = 8 // of up to 9 letters each
	for line := range slices.Chunk(decoys, inLine) {
		fmt.Fprintln(p, strings.Join(line, " "))
	}
}

// table prints rows under a heading.
func (p *page) table(heading string, fill func(row func(...any))) {
	var text bytes.Buffer
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, heading)
	fill(func(cells ...any) {
		fmt.Fprintf(columns, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	})
	columns.Flush()
	first, rest, _ := strings.Cut(text.String(), "\n")
	fmt.Fprintf(p, "\n%s%s%s\n%s", p.bold, first, p.plain, rest)
}

// shorten cuts off what is too long, and replaces what a terminal would act upon: whoever
// may change the table may write comments.
func shorten(s string, columns int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > columns {
		return s[:columns-1] + "…"
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// span returns a duration in its two greatest units: at most 7 columns.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
