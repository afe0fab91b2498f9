package migrate

import (
	"slices"
	"strings"
	"time"

	"nftknock/config/knockd"
	"nftknock/knock"
)

// A part is a section that opens a door, closes one, or does both.
type part struct {
	section *knockd.Section
	joined  []*knockd.Section // others that are in it
	command knockd.Directive  // what a completed sequence runs

	sequence   []knock.Port
	seqTimeout time.Duration
	opens      bool
	ports      []knock.Port
	set        string        // that the source is put into
	lasts      time.Duration // how long it is open; 0: until it is closed
	unread     error         // why the command is not understood
	lost       bool          // no door comes of it
}

const nowhere = "`nftknockd watch --exec` runs programs when somebody is let in or put out"

// readPart reads one section. What is wrong with it becomes losses.
func (m *migration) readPart(s *knockd.Section) *part {
	p := &part{section: s}
	m.readSequence(p)
	m.readKeys(p)
	p.seqTimeout = m.seconds(p, "seq_timeout", knockd.DefaultSeqTimeout, time.Hour)

	var ok bool
	if p.command, ok = s.Get("start_command"); !ok {
		m.loseDoor(p, s.Line, "", "it has no command, and so opens nothing")
		return p
	}
	r, err := read(p.command.Value)
	switch {
	case err != nil:
		p.unread = err // its name may tell
		return p
	case !r.found && len(r.others) == 0:
		m.loseDoor(p, p.command.Line, written(p.command), "it does nothing to a firewall")
		return p
	case !r.found:
		m.loseDoor(p, p.command.Line, written(p.command), "%q is no firewall command that is known here; "+
			"a door opens ports and runs nothing: %s", r.others[0], nowhere)
		return p
	}
	m.noteReading(p, p.command, r)
	p.opens, p.ports, p.set, p.lasts = r.opens, r.ports, r.set, r.lasts
	if len(p.ports) == 0 {
		m.guessPorts(p)
	}
	m.readSecond(p, r)
	m.readStop(p, r)
	return p
}

func (m *migration) noteReading(p *part, d knockd.Directive, r *reading) {
	for _, n := range r.notes {
		m.lose(p.section, d, "%s", n)
	}
	for _, o := range r.others {
		m.lose(p.section, d, "%q is no firewall command that is known here: %s", o, nowhere)
	}
}

func (m *migration) readSequence(p *part) {
	if d, ok := p.section.Get("one_time_sequences"); ok {
		m.loseDoor(p, d.Line, written(d), "nftknockd has no list of sequences that count once, but one-time codes "+
			"instead: give the door a sequence and an otp_secret_file")
		return
	}
	d, ok := p.section.Get("sequence")
	if !ok {
		m.loseDoor(p, p.section.Line, "", "it has no sequence")
		return
	}
	sequence, err := p.section.Sequence()
	if err != nil {
		m.loseDoor(p, d.Line, written(d), "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	p.sequence = sequence
}

// readSecond compares the command for IPv6 with that for IPv4: a door is for both.
func (m *migration) readSecond(p *part, first *reading) {
	d, ok := p.section.Get("start_command_6")
	if !ok {
		return
	}
	second, err := read(d.Value)
	if err != nil || !second.found || second.opens != first.opens || !samePorts(second.ports, first.ports) {
		m.lose(p.section, d, "it is not the same as %s, and a door is the same for IPv4 and IPv6", written(p.command))
	}
}

// readStop reads what is run some time after the command.
func (m *migration) readStop(p *part, first *reading) {
	d, ok := p.section.Get("stop_command")
	if timeout, there := p.section.Get("cmd_timeout"); !ok && there {
		m.lose(p.section, timeout, "there is no stop_command, and so nothing happens when it is over")
	}
	if six, there := p.section.Get("stop_command_6"); there {
		if second, err := read(six.Value); err != nil || second.opens == first.opens {
			m.lose(p.section, six, "a door closes in the same way for IPv4 and IPv6")
		}
	}
	if !ok || p.lost {
		return
	}
	r, err := read(d.Value)
	switch {
	case !p.opens:
		m.loseDoor(p, d.Line, written(d), "%s closes what was open: a door is shut unless somebody knocks", written(p.command))
		return
	case err != nil:
		m.lose(p.section, d, "%v; taken for what closes after cmd_timeout", err)
	case !r.found:
		m.lose(p.section, d, "it closes nothing: the door is open until it is closed; %s", nowhere)
		return
	case r.opens:
		m.lose(p.section, d, "it closes nothing: the door is open until it is closed")
		return
	default:
		m.noteReading(p, d, &reading{others: r.others})
		if !samePorts(r.ports, first.ports) {
			m.lose(p.section, d, "it closes other ports than were opened: a door closes all that it has opened")
		}
	}
	const most = 365 * 24 * time.Hour
	p.lasts = m.seconds(p, "cmd_timeout", knockd.DefaultCmdTimeout, most)
}

func samePorts(a, b []knock.Port) bool { return len(a) == len(b) && covers(a, b) }

// covers says whether all of the inner ports are among the outer ones.
func covers(outer, inner []knock.Port) bool {
	return !slices.ContainsFunc(inner, func(p knock.Port) bool { return !slices.Contains(outer, p) })
}
