// Package migrate turns the configuration of knockd(1) into nftknockd's.
//
//	knockd.File ──→ a part for each section ──→ doors: what opens and closes ──→ TOML
//	                  │ what its command does        │                             │
//	                  └───────────── losses ─────────┴───── comments ──────────────┘
//
// knockd runs any command for a sequence; a door opens and closes ports. So the
// commands of firewalls are read for what they do: iptables, nft, ipset, ufw,
// firewall-cmd, and the knock_add that comes with knockd. Other commands become hooks, and
// a section that has nothing else becomes a trigger, a door that guards nothing. Whatever
// does not become part of a door, or becomes something else, is a loss: nothing is
// dropped in silence.
package migrate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nftknock/config"
	"nftknock/config/knockd"
)

// A Loss is something of a knockd.conf that is not carried over as it was. It never
// shows a sequence.
type Loss struct {
	config.Problem
	Door bool // no door comes of the section
}

// A Result is what becomes of a knockd.conf.
type Result struct {
	TOML   string // a valid configuration, with the losses as comments; it holds secrets
	Losses []Loss // in the order of the lines

	KeyFiles []KeyFile // that the TOML names; nobody else may read them

	Sections     int // that are to become doors, or parts of them
	Doors, Hooks int // in the TOML
}

// LostLines returns of how many lines something is lost.
func (r *Result) LostLines() int {
	type place struct {
		file string
		line int
	}
	lines := make(map[place]bool)
	for _, l := range r.Losses {
		lines[place{l.File, l.Line}] = true
	}
	return len(lines)
}

// Complete says whether every section has become a door, or a part of one.
func (r *Result) Complete() bool {
	return !slices.ContainsFunc(r.Losses, func(l Loss) bool { return l.Door })
}

// FromKnockd turns a knockd.conf into a configuration. The name is the file's, in
// the losses and in the comments.
//
// The interface is that of knockd's options, which counts before the file's; it may be
// empty.
func FromKnockd(name string, f *knockd.File, guarded string) *Result {
	m := &migration{name: name}
	m.readOptions(f)
	if guarded != "" {
		m.guardOption(guarded)
	}
	var parts []*part
	for _, s := range f.Doors() {
		parts = append(parts, m.readPart(s))
	}
	m.pair(parts)
	m.nameDoors()

	// What the configuration's own rules refuse is found out by asking them. Of doors
	// that cannot be there together the later one goes.
	for {
		_, err := config.Parse("", []byte(m.settings()))
		if err == nil {
			break
		}
		m.refuse(err)
	}
	slices.SortStableFunc(m.losses, func(a, b Loss) int { return cmp.Compare(a.Line, b.Line) })
	result := &Result{TOML: m.text(f), Losses: m.losses, Sections: len(parts), Doors: len(m.doors)}
	for _, d := range m.doors {
		result.Hooks += len(d.hooks())
	}
	return result
}

// A migration gathers what becomes of a file.
type migration struct {
	name    string
	guarded string // the interface; empty: all of them
	doors   []*door
	losses  []Loss
}

func (m *migration) lose(s *knockd.Section, d knockd.Directive, format string, args ...any) {
	m.add(s, d.Line, written(d), false, format, args...)
}

// loseDoor says why a section does not become a door.
func (m *migration) loseDoor(p *part, line int, key, format string, args ...any) {
	p.lost = true
	m.add(p.section, line, key, true, format, args...)
}

func (m *migration) add(s *knockd.Section, line int, key string, door bool, format string, args ...any) {
	p := config.Problem{File: m.name, Line: line, Key: key, Text: plain(fmt.Sprintf(format, args...))}
	if s.Name != knockd.Options {
		p.Door = s.Name
	}
	m.losses = append(m.losses, Loss{Problem: p, Door: door})
}

var keyForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,23}$`)

// written returns a directive's key as it is written. Of a line that has none it
// returns nothing: a sequence may stand there whose = was forgotten.
func written(d knockd.Directive) string {
	key, _, _ := strings.Cut(d.Text, "=")
	if key = strings.TrimSpace(key); !keyForm.MatchString(key) {
		return ""
	}
	return key
}

// readOptions reads what is about knockd itself.
func (m *migration) readOptions(f *knockd.File) {
	for i := range f.Sections {
		s := &f.Sections[i]
		for _, d := range s.Directives {
			switch {
			case s.Line == 0:
				m.lose(s, d, "it stands above the first [section]: knockd refuses such a file")
			case s.Name != knockd.Options:
			case d.Key == "interface":
				m.readInterface(s, d)
			case d.Key == "usesyslog", d.Key == "logfile":
				m.lose(s, d, "nftknockd logs to standard error, which under systemd is the journal: journalctl -u nftknockd")
			case d.Key == "pidfile":
				m.lose(s, d, "nftknockd runs in the foreground, and systemd knows its process")
			default:
				m.lose(s, d, "knockd has no such option")
			}
		}
	}
}

func (m *migration) readInterface(s *knockd.Section, d knockd.Directive) {
	_, err := config.Parse("", fmt.Appendf(nil, "interfaces = [%q]", d.Value))
	switch {
	case d.Value == "any":
		m.lose(s, d, "every interface but loopback is guarded, as it is without `interfaces`")
	case err != nil:
		m.lose(s, d, "it is no interface that can be guarded: every one but loopback is")
	default:
		m.guarded = d.Value
		m.lose(s, d, "it said where knocks are heard; `interfaces` says where doors are shut, too: "+
			"what arrives elsewhere is not touched")
	}
}

// guardOption guards the interface that knockd was started with.
func (m *migration) guardOption(name string) {
	if _, err := config.Parse("", fmt.Appendf(nil, "interfaces = [%q]", name)); err != nil {
		m.losses = append(m.losses, Loss{Problem: config.Problem{File: m.name, Text: plain(fmt.Sprintf(
			"knockd's option -i names %q, which is no interface that can be guarded: every one but loopback is", name))}})
		return
	}
	m.guarded = name
	m.losses = append(m.losses, Loss{Problem: config.Problem{File: m.name, Text: plain(fmt.Sprintf(
		"knockd was started with -i %s, which counts before the file: `interfaces` says where doors are shut, too", name))}})
}
