package functional

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A shape is a way to write a packet to a port.
type shape struct {
	name    string
	packets func(from, to netip.AddrPort) []*lab.Datagram
}

// shapesOfTCP are all values of the flags, with and without data and with the options that
// a stack treats differently from others. Only some come with each.
func shapesOfTCP() []shape {
	options := []struct {
		name  string
		bytes []byte
	}{
		{"no options", nil},
		{"ordinary options", lab.OptionsOrdinary},
		{"a signature", lab.OptionMD5},
		{"TCP-AO", lab.OptionAO},
		{"timestamps", lab.OptionTimestamps},
		{"fast open", lab.OptionTFORequest},
		{"fast open with a cookie", lab.OptionTFO},
		{"MPTCP", lab.OptionMPTCP},
		{"MPTCP's join", lab.OptionMPJoin},
	}
	var all []shape
	for flags := range 256 {
		for _, o := range options {
			for _, data := range []string{"", "hello\r\n"} {
				s := lab.Segment{Seq: 1000, Ack: 2000, Flags: byte(flags), Options: o.bytes, Data: []byte(data)}
				all = append(all, shape{
					fmt.Sprintf("flags %#02x, %s, %d bytes", flags, o.name, len(data)),
					func(from, to netip.AddrPort) []*lab.Datagram {
						s.From, s.To = from, to
						return []*lab.Datagram{s.Datagram()}
					},
				})
			}
		}
	}
	return all
}

// shapesOfIP are SYNs, and ACKs, whose packets are out of the ordinary.
func shapesOfIP(f lab.Family) []shape {
	var all []shape
	add := func(name string, make func(d *lab.Datagram) []*lab.Datagram) {
		for _, flags := range []byte{lab.FlagSYN, lab.FlagACK, lab.FlagSYN | lab.FlagACK, lab.FlagFIN, 0} {
			all = append(all, shape{fmt.Sprintf("%s, flags %#02x", name, flags), func(from, to netip.AddrPort) []*lab.Datagram {
				s := lab.Segment{From: from, To: to, Seq: 1000, Ack: 2000, Flags: flags, Options: lab.OptionsOrdinary, Data: []byte("hello, is there anybody?")}
				return make(s.Datagram())
			}})
		}
	}
	for _, size := range []int{8, 16, 24, 32, 40} {
		add(fmt.Sprintf("in fragments of %d bytes", size), func(d *lab.Datagram) []*lab.Datagram {
			d.ID = uint16(size)
			return d.Cut(size)
		})
		add(fmt.Sprintf("in fragments of %d bytes, backwards", size), func(d *lab.Datagram) []*lab.Datagram {
			d.ID = uint16(100 + size)
			return reversed(d.Cut(size))
		})
	}
	for _, tos := range []byte{0x10, 0x48, 0xb8, 0xff} {
		add(fmt.Sprintf("TOS %#x", tos), func(d *lab.Datagram) []*lab.Datagram { d.TOS = tos; return []*lab.Datagram{d} })
	}
	add("TTL 1", func(d *lab.Datagram) []*lab.Datagram { d.TTL = 1; return []*lab.Datagram{d} })
	if f == lab.IPv4 {
		add("with a time stamp", func(d *lab.Datagram) []*lab.Datagram {
			d.Options = []byte{68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			return []*lab.Datagram{d}
		})
		add("with router alert", func(d *lab.Datagram) []*lab.Datagram { d.Options = []byte{148, 4, 0, 0}; return []*lab.Datagram{d} })
		add("with 40 bytes of options", func(d *lab.Datagram) []*lab.Datagram { d.Options = make([]byte, 40); return []*lab.Datagram{d} })
		return all
	}
	for _, headers := range [][]lab.Extension{
		{lab.PaddedExtension(unix.IPPROTO_HOPOPTS, 1)},
		{lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 1)},
		{lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 16)},
		{lab.PaddedExtension(unix.IPPROTO_HOPOPTS, 2), lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 3)},
		{lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 1), lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 1), lab.PaddedExtension(unix.IPPROTO_DSTOPTS, 1)},
		{{Proto: unix.IPPROTO_ROUTING, Rest: []byte{0, 4, 0, 0, 0, 0, 0}}},
		{{Proto: unix.IPPROTO_FRAGMENT, Rest: []byte{0, 0, 0, 0, 0, 0, 7}}}, // an atomic fragment, RFC 6946
	} {
		name := "with headers"
		for _, h := range headers {
			name += fmt.Sprintf(" %d (%d bytes)", h.Proto, 1+len(h.Rest))
		}
		add(name, func(d *lab.Datagram) []*lab.Datagram { d.Headers = headers; return []*lab.Datagram{d} })
		add(name+", in fragments", func(d *lab.Datagram) []*lab.Datagram {
			d.Headers, d.ID = headers, 200
			return d.Cut(8)
		})
	}
	return all
}

func reversed(all []*lab.Datagram) []*lab.Datagram {
	var back []*lab.Datagram
	for i := range all {
		back = append(back, all[len(all)-1-i])
	}
	return back
}

// TestNoAnswerToAnyShape sends a shut port packets of every shape. On the same host another
// port is open and the rest are closed, and these answer.
func TestNoAnswerToAnyShape(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		s.Server.ServeBanner(t, 80)
		neverTired(t, s)
		s.Server.Sysctl(t, "net/ipv4/tcp_fastopen", "0x603") // answers what asks for a cookie, and what brings one
		lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
		s.ExpectShut(t, s.Source, "22", lab.Silent)

		l := lab.OpenLink(t, s.Client, s.Server, 1)
		for n, shapes := range [][]shape{shapesOfTCP(), shapesOfIP(f)} {
			open := provoke(t, s, l, l.Phantom(t, f.Addr(1, 20, byte(n+1))), 80, shapes)
			closed := provoke(t, s, l, l.Phantom(t, f.Addr(1, 21, byte(n+1))), 81, shapes)
			t.Logf("%d shapes: an open port answers %d of them, a closed one %d", len(shapes), len(open), len(closed))
			if len(open) == 0 || len(closed) == 0 {
				t.Fatal("no port answers at all: the test proves nothing")
			}
			answered := provoke(t, s, l, l.Phantom(t, f.Addr(1, 22, byte(n+1))), 22, shapes)
			for _, from := range firstOf(answered) {
				t.Errorf("%s: answered by %x", nameOf(shapes, from), answered[from][0].Raw)
			}
			if len(answered) > 0 {
				t.Errorf("a shut port answers %d of %d shapes", len(answered), len(shapes))
			}
		}
	})
}

// firstOf returns some of what was answered: an example says as much as a thousand.
func firstOf(answered map[uint16][]lab.Received) []uint16 {
	all := slices.Sorted(maps.Keys(answered))
	return all[:min(len(all), 5)]
}

// nameOf returns which shape came from a port.
func nameOf(shapes []shape, from uint16) string {
	if n := int(from) - firstPort; n >= 0 && n < len(shapes) {
		return shapes[n].name
	}
	return "what was not sent"
}

// firstPort is where the ports of an attacker begin: each packet comes from another.
const firstPort = 10000

// provoke sends a port packets of all shapes, and returns what came back, by the port it
// came back to.
func provoke(t testing.TB, s *lab.Topology, l *lab.Link, who netip.Addr, port uint16, shapes []shape) map[uint16][]lab.Received {
	t.Helper()
	to := netip.AddrPortFrom(s.Addr, port)
	all := make(map[uint16][]lab.Received)
	note := func(answers ...lab.Received) {
		for _, a := range answers {
			if at, ok := answered(a, who); ok {
				all[at] = append(all[at], a)
			}
		}
	}
	const together = 64 // no more than a socket's buffer holds answers to
	for n, shape := range shapes {
		l.Send(t, shape.packets(netip.AddrPortFrom(who, uint16(firstPort+n)), to)...)
		if n%together < together-1 && n < len(shapes)-1 {
			continue
		}
		note(l.Answers(t, who, s.Addr)...)
	}
	// The kernel has answered by now, and a program may take its time.
	for {
		a, ok := l.Receive(t, soonEnough, func(a lab.Received) bool { return a.To == who && !lab.IsNeighbour(a) })
		if !ok {
			return all
		}
		note(a)
	}
}

// answers returns the port whose packet this answers, if it is the host's own TCP or UDP, or
// an error that quotes such a packet.
func answered(a lab.Received, who netip.Addr) (uint16, bool) {
	switch {
	case a.IsTCP() || a.Proto == unix.IPPROTO_UDP:
		return a.Target(), true
	case !a.IsError():
		return 0, false
	}
	quoted, ok := parseQuoted(a.Payload[8:])
	if !ok || quoted.From != who {
		return 0, false
	}
	return quoted.Source(), true
}

// parseQuoted reads the beginning of a packet that an ICMP error quotes.
func parseQuoted(ip []byte) (lab.Received, bool) {
	switch {
	case len(ip) >= 28 && ip[0]>>4 == 4:
		header := int(ip[0]&15) * 4
		if len(ip) < header+4 {
			return lab.Received{}, false
		}
		return lab.Received{Raw: ip, From: netip.AddrFrom4([4]byte(ip[12:])), To: netip.AddrFrom4([4]byte(ip[16:])), Proto: ip[9], Payload: ip[header:]}, true
	case len(ip) >= 44 && ip[0]>>4 == 6:
		a := lab.Received{Raw: ip, From: netip.AddrFrom16([16]byte(ip[8:])), To: netip.AddrFrom16([16]byte(ip[24:])), Proto: ip[6], Payload: ip[40:]}
		for a.Proto == unix.IPPROTO_HOPOPTS || a.Proto == unix.IPPROTO_DSTOPTS || a.Proto == unix.IPPROTO_ROUTING || a.Proto == unix.IPPROTO_FRAGMENT {
			if a.Proto == unix.IPPROTO_FRAGMENT && len(a.Payload) >= 4 && binary.BigEndian.Uint16(a.Payload[2:])&^7 != 0 {
				return lab.Received{}, false // a later fragment: no port was asked
			}
			size := 8
			if a.Proto != unix.IPPROTO_FRAGMENT {
				size += int(a.Payload[1]) * 8
			}
			if len(a.Payload) < size+4 {
				return lab.Received{}, false
			}
			a.Proto, a.Payload = a.Payload[0], a.Payload[size:]
		}
		return a, true
	}
	return lab.Received{}, false
}
