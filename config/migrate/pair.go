package migrate

import (
	"errors"
	"slices"
	"strings"

	"nftknock/config"
)

// A door is a section that opens, with the one that closes what it has opened.
type door struct {
	name  string
	open  *part
	close *part // nil if there is none
}

// pair makes doors of the parts.
func (m *migration) pair(parts []*part) {
	m.closeByName(parts)
	parts = m.join(parts)
	for _, p := range parts {
		if p.opens && !p.lost {
			m.doors = append(m.doors, &door{open: p})
		}
	}
	for _, p := range parts {
		if p.opens || p.lost {
			continue
		}
		d := m.doorOf(p)
		if d == nil {
			m.loseDoor(p, p.section.Line, "", "no door that is carried over opens what it closes, or another section closes that one already")
			continue
		}
		d.close = p
		if p.seqTimeout != d.open.seqTimeout {
			m.add(p.section, p.section.Line, "", false, "a door has one seq_timeout: that of [%s] counts", d.open.section.Name)
		}
	}
}

// join makes one part of those that the same knocks make do the same, to several ports:
// knockd runs all of their commands. It returns the parts that remain.
func (m *migration) join(parts []*part) []*part {
	var joined []*part
	for _, p := range parts {
		i := slices.IndexFunc(joined, func(o *part) bool {
			return !p.lost && !o.lost && p.opens == o.opens && p.lasts == o.lasts && slices.Equal(p.sequence, o.sequence)
		})
		if i < 0 {
			joined = append(joined, p)
			continue
		}
		first := joined[i]
		m.add(p.section, p.section.Line, "", false, "it has the sequence of [%s], and becomes a part of it", first.section.Name)
		first.joined = append(first.joined, p.section)
		for _, port := range p.ports {
			if !slices.Contains(first.ports, port) {
				first.ports = append(first.ports, port)
			}
		}
	}
	return joined
}

// doorOf returns the door that a part closes: of those that nothing closes yet and
// whose ports it closes, the one that is called the same, or else the first.
func (m *migration) doorOf(p *part) *door {
	var first *door
	for _, d := range m.doors {
		if d.close != nil || d.open.set != p.set || !covers(p.ports, d.open.ports) {
			continue
		}
		if sameName(d.open, p) {
			return d
		}
		if first == nil {
			first = d
		}
	}
	return first
}

// closeByName decides about the sections whose command is not understood: to take
// a rule away by its number takes a program. One that is called closeX closes what
// openX opens.
func (m *migration) closeByName(parts []*part) {
	for _, p := range parts {
		if p.unread == nil || p.lost {
			continue
		}
		i := slices.IndexFunc(parts, func(o *part) bool {
			return o.opens && !o.lost && sameName(o, p)
		})
		if i < 0 || !strings.Contains(strings.ToLower(p.section.Name), "close") {
			m.loseDoor(p, p.command.Line, written(p.command), "%v", p.unread)
			continue
		}
		p.ports, p.set = parts[i].ports, parts[i].set
		m.lose(p.section, p.command, "%v; because of its name it is taken for what closes [%s]", p.unread, parts[i].section.Name)
	}
}

// refuse gives up a door that the configuration's rules do not allow: the last of
// those that an error of config.Parse names, or else the last of all.
func (m *migration) refuse(err error) {
	var problems config.Errors
	errors.As(err, &problems)
	last, why := len(m.doors)-1, config.Problem{Text: "the configuration would not be valid with it"}
	for i, d := range m.doors {
		if j := slices.IndexFunc(problems, func(p config.Problem) bool { return p.Door == d.name }); j >= 0 {
			last, why = i, problems[j]
		}
	}
	d := m.doors[last]
	m.doors = slices.Delete(m.doors, last, last+1)
	m.loseDoor(d.open, d.open.section.Line, why.Key, "%s", why.Text)
	if d.close != nil {
		m.loseDoor(d.close, d.close.section.Line, "", "it closes what [%s] opens", d.open.section.Name)
	}
}
