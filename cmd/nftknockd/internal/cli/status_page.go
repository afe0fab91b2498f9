package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"nftknock/cmd/nftknockd/internal/control"
)

// A page is what `nftknockd status` prints, 80 columns wide.
type page struct {
	bytes.Buffer
	style
}

// A style is how to stress something on a terminal; empty elsewhere.
type style struct{ bold, red, plain string }

func styleOf(w io.Writer) style {
	if !inColour(w) {
		return style{}
	}
	return style{"\x1b[1m", "\x1b[31m", "\x1b[0m"}
}

func (p *page) headline(s *control.Status) {
	switch {
	case s.Running && s.Daemon.Amiss != "":
		fmt.Fprintf(p, "%samiss: %s%s\n", p.red, strings.ReplaceAll(s.Daemon.Amiss, "\n", "; "), p.plain)
	case s.Running && !s.Exists:
		fmt.Fprintf(p, "%sthere is no table%s: nothing is guarded\n", p.red, p.plain)
	case s.Running && len(s.Doors) == 0:
		fmt.Fprintf(p, "no door is configured: nothing is guarded\n")
	case s.Running:
		fmt.Fprintf(p, "guarding\n")
	case s.Exists:
		fmt.Fprintf(p, "%snftknockd is not running%s: nobody new is let in; this is what the kernel holds\n", p.red, p.plain)
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
		fmt.Fprintf(p, "up %s; %d in progress; %d muted; %d log messages lost\n",
			span(seconds(d.Uptime)), d.InProgress, d.Muted, d.MessagesLost)
	}
}

func (p *page) doors(doors []control.Door) {
	if len(doors) == 0 {
		return
	}
	p.table("DOOR\tPACKETS LET IN\tSHUT\tPORTS", func(row func(...any)) {
		for _, d := range doors {
			row(d.Name, d.LetIn, d.Shut, shorten(strings.Join(d.Ports, ", "), 30))
		}
	})
}

func (p *page) people(people []control.Person) {
	if len(people) == 0 {
		fmt.Fprintln(p, "\nnobody is let in")
		return
	}
	now := time.Now()
	p.table("DOOR\tSOURCE\tBY\tSINCE\tLEFT", func(row func(...any)) {
		for _, person := range people {
			since, left := "-", "forever"
			if !person.Since.IsZero() {
				since = span(now.Sub(person.Since))
			}
			if !person.Until.IsZero() {
				left = span(person.Until.Sub(now))
			}
			by := person.By
			if by == "" {
				by = "nft" // an element that is not the daemon's
			}
			row(person.Door, person.Source, shorten(by, 5), since, left)
		}
	})
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

// shorten cuts off what is too long. It prints nothing that a terminal would act upon:
// whoever may change the table may write comments.
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
