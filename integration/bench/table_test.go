package bench

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

const leastTable = "a table that looks at the port once where packets arrive, are delivered and are sent, and does nothing else, " +
	"costs as much (91 to 92 %); chains without a rule in one of these places leave 98 %"

// reasons say why a target is missed, by its key.
var reasons = map[string]string{
	"open/kernel": "sets in the kernel answer while the packet is being received; here a process is woken, on the processor " +
		"that the prober keeps busy, and answers with a transaction, which are 30 µs of it",
	"open/floor": "three knocks wake the process where the floor is woken by one, and each takes its way through poller, tracker and lock; " +
		"the transaction renews a source that is in already, which takes three messages for one",
	"bystanders/UDP": leastTable,
	"bystanders/SYN": leastTable,
	"engine/time":    "in a flood every source is new, and where it would be remembered is not in the processor's cache; some runs meet the target, some miss it",
}

// A target is a figure, and what it has to be.
type target struct {
	key    string // of its reason, if it is missed
	what   string
	figure string
	bound  string
	met    bool
}

func atMost[T cmp.Ordered](key, what string, figure, bound T) target {
	return target{key, what, fmt.Sprint(figure), fmt.Sprintf("at most %v", bound), figure <= bound}
}

func atLeast[T cmp.Ordered](key, what string, figure, bound T) target {
	return target{key, what, fmt.Sprint(figure), fmt.Sprintf("at least %v", bound), figure >= bound}
}

func exactly[T comparable](key, what string, figure, bound T) target {
	return target{key, what, fmt.Sprint(figure), fmt.Sprint(bound), figure == bound}
}

func (t target) verdict() string {
	switch reason := reasons[t.key]; {
	case t.met:
		return "met"
	case reason != "":
		return "**missed**: " + reason
	}
	return "**missed**"
}

// heading begins a part of the report.
func (r *benchReport) heading(text string) { fmt.Fprintf(r.out, "\n## %s\n", text) }

// say adds a paragraph.
func (r *benchReport) say(text string) { fmt.Fprintf(r.out, "\n%s\n", strings.TrimSpace(text)) }

// targets adds a table of targets.
func (r *benchReport) targets(targets ...target) {
	rows := [][]string{{"nftknockd", "measured", "target", ""}}
	for _, t := range targets {
		rows = append(rows, []string{t.what, t.figure, t.bound, t.verdict()})
	}
	r.table(rows)
}

// table adds a table: the first row is its head. It is aligned, and so reads as
// well before it is rendered.
func (r *benchReport) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			fmt.Fprintf(r.out, "| %-*s ", widths[i], cell) // counts runes
		}
		fmt.Fprintln(r.out, "|")
	}
	fmt.Fprintln(r.out)
	line(rows[0])
	for i, width := range widths {
		rule := "|" + strings.Repeat("-", width+1)
		if i == 0 {
			fmt.Fprint(r.out, rule+"-")
			continue
		}
		fmt.Fprint(r.out, rule+":") // figures stand on the right
	}
	fmt.Fprintln(r.out, "|")
	for _, row := range rows[1:] {
		line(row)
	}
}
