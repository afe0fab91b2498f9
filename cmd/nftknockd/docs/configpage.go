package main

import (
	"fmt"
	"regexp"
	"strings"

	"nftknock/cmd/nftknockd/internal/cli"
)

var (
	keyLine   = regexp.MustCompile(`^(?:# )?([a-z0-9_]+ = .*)$`)
	tableLine = regexp.MustCompile(`^(?:# )?\[([a-z.]+)\]$`)
)

// configPage returns the man page of the configuration: the commented reference, set as
// one. A comment there is about the keys below it, or about the table.
func configPage(reference string) string {
	p := manPage{}
	p.add(`.TH "NFTKNOCKD.TOML" "5" "" "nftknock" "File Formats"`)
	p.add(".SH NAME\n" + roff("nftknockd.toml - what the port-knocking daemon guards, and the knocks that let in"))
	p.add(".SH SYNOPSIS\n" + roff(cli.DefaultConfig))
	p.add(".SH DESCRIPTION")
	for line := range strings.Lines(reference) {
		line = strings.TrimSuffix(line, "\n")
		switch key, table := keyLine.FindStringSubmatch(line), tableLine.FindStringSubmatch(line); {
		case key != nil:
			p.keys = append(p.keys, key[1])
		case table != nil:
			p.table(table[1])
		case line == "":
			p.flush()
		default:
			p.comment = append(p.comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		}
	}
	p.flush()
	p.add(".SH SEE ALSO\n" + roff("nftknockd(8), nftknockd-check(8), nftknockd-reload(8)"))
	return p.String()
}

// A manPage is built from blocks of the reference: a comment and the keys it is about.
type manPage struct {
	strings.Builder
	comment, keys []string
	inKeys        bool // the section of the keys at the top has begun
}

func (p *manPage) add(s string) { p.WriteString(s + "\n") }

func (p *manPage) table(name string) {
	comment := p.comment
	p.comment = nil
	p.inKeys = true
	if table, _, isDoor := strings.Cut(name, "."); isDoor {
		name = table + ".NAME"
	}
	p.add(".SH " + roff("["+name+"]"))
	p.text(comment)
}

// flush sets the block that has come to its end.
func (p *manPage) flush() {
	switch {
	case len(p.keys) > 0:
		if !p.inKeys {
			p.inKeys = true
			p.add(".SH KEYS AT THE TOP")
		}
		p.add(".TP")
		for i, key := range p.keys {
			if i > 0 {
				p.add(".TQ")
			}
			name, value, _ := strings.Cut(key, " = ")
			p.add(fmt.Sprintf(`\fB%s\fP = %s`, roff(name), roff(value)))
		}
		p.text(p.comment)
	case len(p.comment) > 0 && p.inKeys:
		return // of the table that comes next
	default:
		p.text(p.comment)
	}
	p.comment, p.keys = nil, nil
}

// text sets a comment: paragraphs, and lists whose lines are indented.
func (p *manPage) text(lines []string) {
	listed := false
	for i, line := range lines {
		list := strings.HasPrefix(line, "  ")
		if list != listed {
			p.add(map[bool]string{true: ".RS\n.nf", false: ".fi\n.RE"}[list])
			listed = list
		}
		switch {
		case list:
			p.add(roff(line[2:]))
		case line != "":
			p.add(roff(line))
		case i < len(lines)-1 && len(p.keys) > 0:
			p.add(".IP")
		case i < len(lines)-1:
			p.add(".PP")
		}
	}
	if listed {
		p.add(".fi\n.RE")
	}
}

// roff returns a line of text that means nothing to troff.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
