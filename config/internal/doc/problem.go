package doc

import (
	"fmt"
	"strconv"
	"strings"
)

// A Problem is something in a configuration that is wrong, or unwise.
type Problem struct {
	File string // as it was named when it was read
	Line int    // from 1; 0: not known, or the file as a whole
	Door string // empty: not about a door
	Host string // empty: not about a profile of a hosts.toml
	Key  string // empty: not about one key
	Text string // what is wrong and what would be right; one line, and never a sequence
}

// String returns the problem as one line, "file:line: door NAME: key: text", or
// "host NAME" for a profile, without the parts that it does not have.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Door != "" {
		fmt.Fprintf(&b, "door %s: ", Plain(p.Door))
	}
	if p.Host != "" {
		fmt.Fprintf(&b, "host %s: ", Plain(p.Host))
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Errors is all that is wrong with a file, in the order of its lines.
type Errors []Problem

// Error returns the problems, each on a line of its own.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Plain returns a name as it is, or quoted if it would not stand out from the text
// around it, or could break a line of a log.
func Plain(name string) string {
	quoted := strconv.Quote(name)
	if name == "" || strings.Contains(name, " ") || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
