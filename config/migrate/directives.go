package migrate

import (
	"slices"
	"strings"
	"time"

	"nftknock/config/knockd"
)

// readKeys names the directives that are not read elsewhere.
func (m *migration) readKeys(p *part) {
	s := p.section
	for i, d := range s.Directives {
		again := slices.ContainsFunc(s.Directives[i+1:], func(later knockd.Directive) bool { return later.Key == d.Key })
		switch d.Key {
		case "sequence", "one_time_sequences", "seq_timeout", "cmd_timeout",
			"start_command", "start_command_6", "stop_command", "stop_command_6":
			if again {
				m.lose(s, d, "it is there again further down, which is what counts")
			}
		case "tcpflags":
			m.readFlags(p, d)
		case "target":
			m.lose(s, d, "knocks count on every address of this host, and on none of another host's")
		default:
			m.lose(s, d, "knockd has no such directive")
		}
	}
}

// readFlags names what a knock may not be any more: it is a SYN without FIN, RST and ACK.
func (m *migration) readFlags(p *part, d knockd.Directive) {
	value, _, _ := strings.Cut(strings.ToLower(d.Value), "#")
	for flag := range strings.SplitSeq(value, ",") {
		switch strings.TrimSpace(flag) {
		case "syn", "!fin", "!rst", "!ack", "!psh", "!urg":
		default:
			m.lose(p.section, d, "a TCP knock is a SYN, as any program sends it that connects: knock with that from now on")
			return
		}
	}
}

// seconds reads a time, which has to be from a second to most.
func (m *migration) seconds(p *part, key string, absent int, most time.Duration) time.Duration {
	d, ok := p.section.Get(key)
	if !ok {
		return time.Duration(absent) * time.Second
	}
	n, err := knockd.Number(d.Value)
	t := time.Duration(n) * time.Second
	switch {
	case err != nil:
		t = time.Duration(absent) * time.Second
		m.lose(p.section, d, "it is no number of seconds: %v, which is knockd's default, is taken", t)
	case t < time.Second:
		t = time.Second
		m.lose(p.section, d, "a second is the least that is possible")
	case t > most:
		t = most
		m.lose(p.section, d, "%d seconds is the most that is possible", int(most.Seconds()))
	}
	return t
}
