package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// A ConfigPage is the man page of a configuration file, of section 5.
type ConfigPage struct {
	Name      string // of the file, as the page is called
	Summary   string
	Path      string // where the file is
	Reference string // the file with every key, commented: see [ConfigPage.String]
	SeeAlso   string
}

var (
	keyLine   = regexp.MustCompile(`^(?:# )?([a-z0-9_]+) += (.*)$`)
	tableLine = regexp.MustCompile(`^(?:# )?\[([a-z.]+)\]$`)
)

// String returns the page: the commented reference, set as one. A comment there is about the
// keys below it, or about the table.
func (c ConfigPage) String() string {
	p := manPage{}
	p.add(fmt.Sprintf(`.TH "%s" "5" "" "nftknock" "File Formats"`, strings.ToUpper(c.Name)))
	p.add(".SH NAME\n" + Roff(c.Name+" - "+c.Summary))
	p.add(".SH SYNOPSIS\n" + Roff(c.Path))
	p.add(".SH DESCRIPTION")
	for line := range strings.Lines(c.Reference) {
		line = strings.TrimSuffix(line, "\n")
		switch key, table := keyLine.FindStringSubmatch(line), tableLine.FindStringSubmatch(line); {
		case key != nil:
			p.keys = append(p.keys, [2]string{key[1], key[2]})
		case table != nil:
			p.table(table[1])
		case line == "":
			p.flush()
		default:
			p.comment = append(p.comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		}
	}
	p.flush()
	p.add(".SH SEE ALSO\n" + Roff(c.SeeAlso))
	return p.Builder.String()
}

// A manPage is built from blocks of the reference: a comment and the keys it is about.
type manPage struct {
	strings.Builder
	comment []string
	keys    [][2]string // and their values
	inKeys  bool        // the section of the keys at the top has begun
}

func (p *manPage) add(s string) { p.WriteString(s + "\n") }

func (p *manPage) table(name string) {
	comment := p.comment
	p.comment = nil
	p.inKeys = true
	if table, _, isDoor := strings.Cut(name, "."); isDoor {
		name = table + ".NAME"
	}
	p.add(".SH " + Roff("["+name+"]"))
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
			p.add(fmt.Sprintf(`\fB%s\fP = %s`, Roff(key[0]), Roff(key[1])))
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
			p.add(Roff(line[2:]))
		case line != "":
			p.add(Roff(line))
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

// Roff returns a line of text that means nothing to troff.
func Roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
