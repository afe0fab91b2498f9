package migrate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"nftknock/config"
	"nftknock/config/knockd"
	"nftknock/knock"
)

// plain makes one line of text, which a comment of TOML can be, of anything.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// settings returns the configuration without a comment.
func (m *migration) settings() string {
	var b strings.Builder
	m.writeTop(&b)
	for _, d := range m.doors {
		d.write(&b)
	}
	return b.String()
}

// text returns the configuration, with the losses as comments where they belong:
// above the door, or in place of it.
func (m *migration) text(f *knockd.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# nftknockd import made this from %s; it names its lines below.\n", plain(m.name))
	b.WriteString("# What is marked with ! is not as it was, or not there any more.\n")
	b.WriteString("# The firewall has to let everybody through to what a door guards: the gate decides before it.\n")
	if slices.ContainsFunc(m.doors, func(d *door) bool { return len(d.hooks()) > 0 }) {
		b.WriteString("# Hooks are run by nftknock-hooks.service, as its own user: what takes more rights than that has to be allowed.\n")
	}
	doors := make(map[*knockd.Section]*door) // nil for a section that is part of another one's door
	for _, d := range m.doors {
		for _, s := range d.sections() {
			doors[s] = nil
		}
		doors[d.open.section] = d
	}

	var options []*knockd.Section
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Line == 0 || s.Name == knockd.Options {
			options = append(options, s)
		}
	}
	if len(options) > 0 {
		m.writeLosses(&b, options...)
	}
	m.writeTop(&b)
	for _, s := range f.Doors() {
		switch d, ok := doors[s]; {
		case !ok:
			m.writeSection(&b, s)
		case d != nil:
			m.writeLosses(&b, d.sections()...)
			d.write(&b)
		}
	}
	return b.String()
}

// writeLosses writes what sections are, and the lines of which something is lost.
func (m *migration) writeLosses(b *strings.Builder, sections ...*knockd.Section) {
	b.WriteString("\n")
	for _, s := range sections {
		m.writeHeading(b, s)
		for _, d := range s.Directives {
			if losses := m.lossesOf(d.Line); losses != "" {
				fmt.Fprintf(b, "# Line %d: %s\n%s", d.Line, plain(d.Text), losses)
			}
		}
	}
}

// writeSection writes a section that is no door, for whoever makes one of it.
func (m *migration) writeSection(b *strings.Builder, s *knockd.Section) {
	b.WriteString("\n")
	m.writeHeading(b, s)
	for _, d := range s.Directives {
		fmt.Fprintf(b, "# Line %d: %s\n%s", d.Line, plain(d.Text), m.lossesOf(d.Line))
	}
}

func (m *migration) writeHeading(b *strings.Builder, s *knockd.Section) {
	if s.Line > 0 {
		fmt.Fprintf(b, "# Line %d: [%s]\n%s", s.Line, plain(s.Name), m.lossesOf(s.Line))
	}
}

func (m *migration) lossesOf(line int) string {
	var b strings.Builder
	for _, l := range m.losses {
		if l.Line == line {
			fmt.Fprintf(&b, "#   ! %s\n", l.Text)
		}
	}
	return b.String()
}

func (m *migration) writeTop(b *strings.Builder) {
	if m.guarded != "" {
		fmt.Fprintf(b, "interfaces = [%q]\n", m.guarded)
	}
}

// sections returns the sections that a door is made of.
func (d *door) sections() []*knockd.Section {
	sections := append([]*knockd.Section{d.open.section}, d.open.joined...)
	if d.close != nil {
		sections = append(append(sections, d.close.section), d.close.joined...)
	}
	return sections
}

func (d *door) write(b *strings.Builder) {
	w := config.WrittenDoor{Door: knock.Door{
		Name: d.name, Ports: d.open.ports, Sequence: d.open.sequence,
		SeqTimeout: d.open.seqTimeout, OpenTimeout: d.open.lasts,
	}}
	if d.close != nil {
		w.CloseSequence = d.close.sequence
	}
	if w.OpenTimeout == 0 && !d.open.trigger {
		w.OpenTimeout = knock.Forever
	}
	b.WriteString(w.TOML())
	for _, h := range d.hooks() {
		b.WriteString("\n" + config.Hook{Name: h.name, Door: d.name, On: []config.HookEvent{h.on}, Run: h.run}.TOML())
	}
}

// hooks returns the hooks of a door, those of its opening first.
func (d *door) hooks() []hook {
	if d.close == nil {
		return d.open.hooks
	}
	return slices.Concat(d.open.hooks, d.close.hooks)
}
