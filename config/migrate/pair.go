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
	m.tellUnclosed()
}

// tellUnclosed names the doors that a section closed along with another one: with knockd
// it took away the rule, whoever had added it; here a sequence closes one door.
func (m *migration) tellUnclosed() {
	for _, d := range m.doors {
		if d.close != nil || d.open.trigger {
			continue
		}
		i := slices.IndexFunc(m.doors, func(other *door) bool {
			return other.close != nil && other.close.set == d.open.set && covers(other.close.ports, d.open.ports)
		})
		if i < 0 {
			continue
		}
		closer := m.doors[i]
		until := "until its time is over"
		if d.open.lasts == 0 {
			until = "forever: give it an open_timeout or a close_sequence of its own"
		}
		m.add(closer.close.section, closer.close.section.Line, "", false, "it closed what [%s] opens as well; a sequence closes one door, "+
			"and this one closes what [%s] opens: the other stays open %s", d.open.section.Name, closer.open.section.Name, until)
	}
}

// join makes one part of those that the same knocks make do the same, to several ports:
// knockd runs all of their commands. It returns the parts that remain.
func (m *migration) join(parts []*part) []*part {
	var joined []*part
	for _, p := range parts {
		i := slices.IndexFunc(joined, func(o *part) bool {
			// A trigger without an end has no time of its own.
			sameEnd := p.lasts == o.lasts || p.trigger && p.lasts == 0 || o.trigger && o.lasts == 0
			return !p.lost && !o.lost && p.opens == o.opens && sameEnd && slices.Equal(p.sequence, o.sequence)
		})
		if i < 0 {
			joined = append(joined, p)
			continue
		}
		first := joined[i]
		m.add(p.section, p.section.Line, "", false, "it has the sequence of [%s], and becomes a part of it", first.section.Name)
		first.joined = append(first.joined, p.section)
		first.hooks = append(first.hooks, p.hooks...)
		if first.trigger {
			first.lasts, first.set = p.lasts, p.set
		}
		first.trigger = first.trigger && p.trigger
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
		if d.close != nil || d.open.trigger || d.open.set != p.set || !covers(p.ports, d.open.ports) {
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
	if m.refuseHook(problems) {
		return
	}
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

// refuseHook gives up a hook that one of the problems is about, if there is one.
func (m *migration) refuseHook(problems config.Errors) bool {
	for _, d := range m.doors {
		for _, part := range []*part{d.open, d.close} {
			if part == nil {
				continue
			}
			for i, h := range part.hooks {
				j := slices.IndexFunc(problems, func(p config.Problem) bool { return strings.HasPrefix(p.Key, "hook."+h.name+".") })
				if j >= 0 {
					m.add(part.section, h.line, "", false, "no hook comes of it: %s", problems[j].Text)
					part.hooks = slices.Delete(part.hooks, i, i+1)
					return true
				}
			}
		}
	}
	return false
}
