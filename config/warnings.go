package config

import (
	"cmp"
	"fmt"
	"slices"

	"nftknock/knock"
)

// InterfaceWarningsHere returns the texts of InterfaceWarnings, on this host.
func (c *Config) InterfaceWarningsHere() (texts []string) {
	links, err := ReadLinks()
	if err != nil {
		return nil
	}
	for _, w := range c.InterfaceWarnings(links) {
		texts = append(texts, w.Text)
	}
	return texts
}

// WarningsHere returns what is unwise in a configuration, on this host. What the host does
// not let us see gives no warnings.
func (c *Config) WarningsHere() []Problem {
	host, _ := ReadHost()
	return c.Warnings(host)
}

// Warnings returns what is allowed but unwise, on the given host: what concerns
// the file first, then door by door. Of a zero Host no ports and no interfaces
// are known. It is not safe
// for concurrent use with itself.
func (c *Config) Warnings(host Host) []Problem {
	w := warner{config: c, host: host}
	if perm := c.mode.Perm(); perm&0o006 != 0 {
		may := "read"
		if perm&0o002 != 0 {
			may = "change"
		}
		w.warn("", "", "mode %04o: others can %s the sequences: chmod o-rwx", perm, may)
	}
	if len(c.Doors) == 0 {
		w.warn("", "", "no door is configured: nothing is guarded: write a [door.ssh], say")
	}
	w.warnings = append(w.warnings, c.InterfaceWarnings(host.Links)...)
	for i := range c.Doors {
		w.door(&c.Doors[i])
	}
	return w.warnings
}

type warner struct {
	config   *Config
	host     Host
	warnings []Problem
}

func (w *warner) warn(door, key, format string, args ...any) {
	p := Problem{File: w.config.file, Door: door, Key: key, Text: fmt.Sprintf(format, args...)}
	if n, ok := w.config.nodes[place{door, key}]; ok {
		p.Line = n.Line()
	}
	w.warnings = append(w.warnings, p)
}

func (w *warner) door(d *knock.Door) {
	if len(d.Ports) == 0 && !w.hooked(d) {
		w.warn(d.Name, "", "it has no ports, and so guards nothing, and no hook is for it: write what it guards, %s, or a hook", examplePorts)
	}
	if d.OpenTimeout == knock.Forever && len(d.CloseSequence) == 0 && len(d.Ports) > 0 {
		w.warn(d.Name, "open_timeout", "who is let in stays in: no close_sequence puts anybody out, only the admin can: "+
			"write a time, or a close_sequence")
	}
	for _, port := range d.Ports {
		if w.host.ephemeral(port.Number) && !w.host.Listening[port] {
			w.warn(d.Name, "ports", "%v is in the ephemeral range (%d-%d), and nothing listens on it yet: a connection of the host's own "+
				"can be given it first: add it to net.ipv4.ip_local_reserved_ports", port, w.host.EphemeralFirst, w.host.EphemeralLast)
		}
	}
	tutorial := false
	seen := make(map[knock.Port]bool) // the closing sequence often has the same ports
	for key, sequence := range sequences(d) {
		beforeCode := d.CodeBase != 0 && key == "sequence" // which is neither guessed nor scanned
		if len(sequence) < 3 && !beforeCode {
			w.warn(d.Name, key, "fewer than three knocks can be guessed, or hit by chance: use three or more")
		}
		const scan = "the knocks are in %s order, as those of a port scan: mix them"
		switch {
		case beforeCode:
		case ordered(sequence, +1):
			w.warn(d.Name, key, scan, "ascending")
		case ordered(sequence, -1):
			w.warn(d.Name, key, scan, "descending")
		}
		if again, first := knock.Revisits(sequence); again > 0 {
			w.warn(d.Name, key, "knock %d comes back to the port of knock %d: of two people behind one address who knock at once "+
				"some 17 %% have to knock again: let each port come once", again, first)
		}
		if isTutorial(sequence) && !tutorial {
			tutorial = true
			w.warn(d.Name, key, "this is the sequence of the tutorial that everybody follows: choose one of your own")
		}
		for i, port := range sequence {
			if !seen[port] {
				seen[port] = true
				w.port(d, key, i+1, port)
			}
		}
	}
	if d.CodeBase != 0 {
		w.codes(d)
	}
}

// codes warns about codes that are all there is to guess, and about ports that carry
// codes and that somebody else's traffic may go to: it would be taken for wrong codes,
// and its sources muted.
func (w *warner) codes(d *knock.Door) {
	if len(d.Sequence) == 0 {
		w.warn(d.Name, "otp_base", "no knock comes before the code, of which one in 333,333 is right: "+
			"who has very many addresses, as with IPv6, can try enough of them: write a sequence too")
	}
	base, end := int(d.CodeBase), int(d.CodeBase)+knock.CodePorts
	first, last := w.host.EphemeralFirst, w.host.EphemeralLast
	if base <= int(last) && end > int(first) && last != 0 {
		w.warn(d.Name, "otp_base", "its ports, %s, meet the ephemeral range (%d-%d): connections that the host makes do no harm, "+
			"but who connects to a program that listens there would be taken for guessing, and muted: choose ports outside of it",
			codeRange(d), first, last)
	}
	for number := base; number < end; number++ {
		if w.host.Listening[knock.Port{Number: uint16(number), Proto: knock.TCP}] {
			w.warn(d.Name, "otp_base", "a program of the host listens on %d, one of its ports, %s: "+
				"who connects to it would be taken for guessing, and muted: choose ports that nothing uses", number, codeRange(d))
			return // one is enough to choose others
		}
	}
}

// port warns about a knock that traffic of the host's own can be taken for. A trigger's
// may be meant to be.
func (w *warner) port(d *knock.Door, key string, position int, port knock.Port) {
	if w.host.ephemeral(port.Number) {
		w.warn(d.Name, key, "knock %d is in the ephemeral range (%d-%d), which the host's own programs use: "+
			"their traffic can count as knocks: choose a port outside of it", position, w.host.EphemeralFirst, w.host.EphemeralLast)
	}
	if !w.host.Listening[port] || len(d.Ports) == 0 {
		return
	}
	if position == 1 {
		w.warn(d.Name, key, "knock 1 is on a port that a program of the host listens on: each connection to it begins an attempt; "+
			"more than %d of a source amid its own knock spoil that: choose a port that nothing uses", knock.MaxParallel-1)
		return
	}
	w.warn(d.Name, key, "knock %d is on a port that a program of the host listens on: others may use it, but a source that "+
		"does amid its own knock has to knock again: put it first, or choose a port that nothing uses", position)
}

// hooked reports whether a hook is run for what happens at a door.
func (w *warner) hooked(d *knock.Door) bool {
	return slices.ContainsFunc(w.config.Hooks, func(h Hook) bool {
		return (h.Door == d.Name || h.Door == "") && !slices.Equal(h.On, []HookEvent{HookScan})
	})
}

// ordered reports whether the port numbers of a sequence rise (+1) or fall (-1) with
// every knock.
func ordered(sequence []knock.Port, direction int) bool {
	for i := 1; i < len(sequence); i++ {
		if cmp.Compare(sequence[i].Number, sequence[i-1].Number) != direction {
			return false
		}
	}
	return len(sequence) > 1
}

// isTutorial reports whether a sequence is the one in the manual of knockd and in
// what was copied from it, in either direction.
func isTutorial(sequence []knock.Port) bool {
	var numbers []uint16
	for _, p := range sequence {
		numbers = append(numbers, p.Number)
	}
	return slices.Equal(numbers, []uint16{7000, 8000, 9000}) || slices.Equal(numbers, []uint16{9000, 8000, 7000})
}
