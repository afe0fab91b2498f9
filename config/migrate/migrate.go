// Package migrate turns the configuration of knockd(1) into nftknockd's.
//
//	knockd.File ──→ a part for each section ──→ doors: what opens and closes ──→ TOML
//	                  │ what its command does        │                             │
//	                  └───────────── losses ─────────┴───── comments ──────────────┘
//
// knockd runs any command for a sequence; a door opens and closes ports. So the
// commands of firewalls are read for what they do: iptables, nft, ufw,
// firewall-cmd, and the knock_add that comes with knockd. Whatever does not
// become part of a door, or becomes something else, is a loss: nothing is dropped
// in silence.
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
}

// Complete says whether every section has become a door, or a part of one.
func (r *Result) Complete() bool {
	return !slices.ContainsFunc(r.Losses, func(l Loss) bool { return l.Door })
}

// FromKnockd turns a knockd.conf into a configuration. The name is the file's, in
// the losses and in the comments.
func FromKnockd(name string, f *knockd.File) *Result {
	m := &migration{name: name}
	m.readOptions(f)
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
	return &Result{TOML: m.text(f), Losses: m.losses}
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
		m.lose(s, d, "it is no interface's name: every interface but loopback is guarded")
	default:
		m.guarded = d.Value
		m.lose(s, d, "it said where knocks are heard; `interfaces` says where doors are shut, too: "+
			"what arrives elsewhere is not touched")
	}
}
