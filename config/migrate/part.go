package migrate

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"nftknock/config"
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
	hooks      []hook
	trigger    bool  // it opens nothing, and runs a program
	unread     error // why the command is not understood
	lost       bool  // no door comes of it
}

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
		if !m.openWhatStops(p, err.Error()) {
			p.unread = err // its name may tell
		}
		return p
	case !r.found && len(r.program) == 0:
		m.loseDoor(p, p.command.Line, written(p.command), "it does nothing")
		return p
	case !r.found:
		if m.openWhatStops(p, "it runs a program that is not known here") {
			return p
		}
		m.readTrigger(p, r)
		return p
	}
	m.noteReading(p, p.command, r)
	p.opens, p.ports, p.set, p.lasts = r.opens, r.ports, r.set, r.lasts
	on := config.HookRevoked
	if p.opens {
		on = config.HookGranted
	}
	m.addHook(p, p.command, on, r.program)
	if len(p.ports) == 0 {
		m.guessPorts(p)
	}
	m.readSecond(p, r)
	m.readStop(p, r)
	return p
}

// readTrigger reads a section that runs programs and opens nothing.
func (m *migration) readTrigger(p *part, r *reading) {
	p.opens, p.trigger = true, true
	m.addHook(p, p.command, config.HookGranted, r.program)
	if verbs.MatchString(strings.ToLower(p.section.Name)) {
		m.lose(p.section, p.command, "it becomes a hook, and the door a trigger, which guards nothing: if the program opens a port, "+
			"write that as the door's `ports`, and take the hook away")
	}
	if d, ok := p.section.Get("start_command_6"); ok && d.Value != p.command.Value {
		m.lose(p.section, d, "it is not the same as %s, and a door is the same for IPv4 and IPv6", written(p.command))
	}
	d, ok := p.section.Get("stop_command")
	if six, there := p.section.Get("stop_command_6"); there && six.Value != d.Value {
		m.lose(p.section, six, "it is not the same as stop_command, and a door is the same for IPv4 and IPv6")
	}
	if !ok {
		m.noStop(p)
		return
	}
	stop, err := read(d.Value)
	if err != nil || stop.found || len(stop.program) == 0 {
		m.lose(p.section, d, "the section opens nothing that it could close")
		return
	}
	m.addHook(p, d, config.HookExpired, stop.program)
	p.lasts = m.seconds(p, "cmd_timeout", knockd.DefaultCmdTimeout, mostCmdTimeout)
}

const mostCmdTimeout = 365 * 24 * time.Hour

// openWhatStops makes a door of a section whose start_command is not understood, but whose
// stop_command closes ports: these are what the other opens. It reports whether it has.
func (m *migration) openWhatStops(p *part, why string) bool {
	d, ok := p.section.Get("stop_command")
	if !ok {
		return false
	}
	r, err := read(d.Value)
	if err != nil || !r.found || r.opens || len(r.ports) == 0 {
		return false
	}
	m.lose(p.section, p.command, "%s: taken for what opens the ports that stop_command closes", why)
	m.noteReading(p, d, r)
	m.addHook(p, d, config.HookExpired, r.program)
	p.opens, p.ports, p.set = true, r.ports, r.set
	p.lasts = m.seconds(p, "cmd_timeout", knockd.DefaultCmdTimeout, mostCmdTimeout)
	return true
}

func (m *migration) noStop(p *part) {
	if timeout, there := p.section.Get("cmd_timeout"); there {
		m.lose(p.section, timeout, "there is no stop_command, and so nothing happens when it is over")
	}
}

func (m *migration) noteReading(p *part, d knockd.Directive, r *reading) {
	for _, n := range r.notes {
		m.lose(p.section, d, "%s", n)
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
		m.loseDoor(p, p.section.Line, "", noSequence)
		return
	}
	sequence, err := p.section.Sequence()
	if err != nil {
		m.loseDoor(p, d.Line, written(d), "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	p.sequence = sequence
	value, comment, _ := strings.Cut(d.Value, "#")
	if strings.Contains(comment, ",") {
		m.lose(p.section, d, "of a comma in the comment knockd makes one more knock, on port 0, which nobody can send: left out")
	}
	for word := range strings.SplitSeq(value, ",") {
		if !plainKnock.MatchString(word) {
			m.lose(p.section, d, "something stands behind a port: read as knockd does, up to where its digits end")
			break
		}
	}
}

var plainKnock = regexp.MustCompile(`^\s*\+?\d+\s*(?::[^:]*)?$`)

const noSequence = "it has no sequence"

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
	if !ok {
		m.noStop(p)
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
		m.lose(p.section, d, "it closes nothing: the door is open until it is closed, and until then it is not run")
		return
	case r.opens:
		m.lose(p.section, d, "it closes nothing: the door is open until it is closed")
		return
	default:
		m.addHook(p, d, config.HookExpired, r.program)
		if !samePorts(r.ports, first.ports) {
			m.lose(p.section, d, "it closes other ports than were opened: a door closes all that it has opened")
		}
	}
	p.lasts = m.seconds(p, "cmd_timeout", knockd.DefaultCmdTimeout, mostCmdTimeout)
}

func samePorts(a, b []knock.Port) bool { return len(a) == len(b) && covers(a, b) }

// covers says whether all of the inner ports are among the outer ones.
func covers(outer, inner []knock.Port) bool {
	return !slices.ContainsFunc(inner, func(p knock.Port) bool { return !slices.Contains(outer, p) })
}
