package integration

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A shape is a way to write a packet to a port.
type shape struct {
	name    string
	packets func(from, to netip.AddrPort) []*datagram
}

// shapesOfTCP are all values of the flags, with and without data and with the options that
// a stack treats differently from others. Only some come with each.
func shapesOfTCP() []shape {
	options := []struct {
		name  string
		bytes []byte
	}{
		{"no options", nil},
		{"ordinary options", optionOrdin},
		{"a signature", optionMD5},
		{"TCP-AO", optionAO},
		{"timestamps", optionStamps},
		{"fast open", optionFastOpn},
		{"fast open with a cookie", optionTFOData},
		{"MPTCP", optionMPTCP},
		{"MPTCP's join", optionMPJoin},
	}
	var all []shape
	for flags := range 256 {
		for _, o := range options {
			for _, data := range []string{"", "hello\r\n"} {
				s := segment{seq: 1000, ack: 2000, flags: byte(flags), options: o.bytes, data: []byte(data)}
				all = append(all, shape{
					fmt.Sprintf("flags %#02x, %s, %d bytes", flags, o.name, len(data)),
					func(from, to netip.AddrPort) []*datagram {
						s.from, s.to = from, to
						return []*datagram{s.datagram()}
					},
				})
			}
		}
	}
	return all
}

// shapesOfIP are SYNs, and ACKs, whose packets are out of the ordinary.
func shapesOfIP(f family) []shape {
	var all []shape
	add := func(name string, make func(d *datagram) []*datagram) {
		for _, flags := range []byte{flagSYN, flagACK, flagSYN | flagACK, flagFIN, 0} {
			all = append(all, shape{fmt.Sprintf("%s, flags %#02x", name, flags), func(from, to netip.AddrPort) []*datagram {
				s := segment{from: from, to: to, seq: 1000, ack: 2000, flags: flags, options: optionOrdin, data: []byte("hello, is there anybody?")}
				return make(s.datagram())
			}})
		}
	}
	for _, size := range []int{8, 16, 24, 32, 40} {
		add(fmt.Sprintf("in fragments of %d bytes", size), func(d *datagram) []*datagram {
			d.id = uint16(size)
			return d.cut(size)
		})
		add(fmt.Sprintf("in fragments of %d bytes, backwards", size), func(d *datagram) []*datagram {
			d.id = uint16(100 + size)
			return reversed(d.cut(size))
		})
	}
	for _, tos := range []byte{0x10, 0x48, 0xb8, 0xff} {
		add(fmt.Sprintf("TOS %#x", tos), func(d *datagram) []*datagram { d.tos = tos; return []*datagram{d} })
	}
	add("TTL 1", func(d *datagram) []*datagram { d.ttl = 1; return []*datagram{d} })
	if f == ipv4 {
		add("with a time stamp", func(d *datagram) []*datagram {
			d.options = []byte{68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			return []*datagram{d}
		})
		add("with router alert", func(d *datagram) []*datagram { d.options = []byte{148, 4, 0, 0}; return []*datagram{d} })
		add("with 40 bytes of options", func(d *datagram) []*datagram { d.options = make([]byte, 40); return []*datagram{d} })
		return all
	}
	for _, headers := range [][]extension{
		{padded(unix.IPPROTO_HOPOPTS, 1)},
		{padded(unix.IPPROTO_DSTOPTS, 1)},
		{padded(unix.IPPROTO_DSTOPTS, 16)},
		{padded(unix.IPPROTO_HOPOPTS, 2), padded(unix.IPPROTO_DSTOPTS, 3)},
		{padded(unix.IPPROTO_DSTOPTS, 1), padded(unix.IPPROTO_DSTOPTS, 1), padded(unix.IPPROTO_DSTOPTS, 1)},
		{{unix.IPPROTO_ROUTING, []byte{0, 4, 0, 0, 0, 0, 0}}},
		{{unix.IPPROTO_FRAGMENT, []byte{0, 0, 0, 0, 0, 0, 7}}}, // an atomic fragment, RFC 6946
	} {
		name := "with headers"
		for _, h := range headers {
			name += fmt.Sprintf(" %d (%d bytes)", h.proto, 1+len(h.rest))
		}
		add(name, func(d *datagram) []*datagram { d.headers = headers; return []*datagram{d} })
		add(name+", in fragments", func(d *datagram) []*datagram {
			d.headers, d.id = headers, 200
			return d.cut(8)
		})
	}
	return all
}

func reversed(all []*datagram) []*datagram {
	var back []*datagram
	for i := range all {
		back = append(back, all[len(all)-1-i])
	}
	return back
}

// TestNoAnswerToAnyShape sends a shut port packets of every shape. On the same host another
// port is open and the rest are closed, and these answer.
func TestNoAnswerToAnyShape(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.serveBanner(t, 22)
		s.server.serveBanner(t, 80)
		s.neverTired(t)
		s.server.sysctl(t, "net/ipv4/tcp_fastopen", "0x603") // answers what asks for a cookie, and what brings one
		startDaemon(t, s.server, noDecoys+sshDoor)
		s.expectShut(t, s.person, "22", silent)

		l := openLink(t, s.client, s.server, 1)
		for n, shapes := range [][]shape{shapesOfTCP(), shapesOfIP(f)} {
			open := l.provoke(t, s, l.phantom(t, f.addr(1, 20, byte(n+1))), 80, shapes)
			closed := l.provoke(t, s, l.phantom(t, f.addr(1, 21, byte(n+1))), 81, shapes)
			t.Logf("%d shapes: an open port answers %d of them, a closed one %d", len(shapes), len(open), len(closed))
			if len(open) == 0 || len(closed) == 0 {
				t.Fatal("no port answers at all: the test proves nothing")
			}
			answered := l.provoke(t, s, l.phantom(t, f.addr(1, 22, byte(n+1))), 22, shapes)
			for _, from := range firstOf(answered) {
				t.Errorf("%s: answered by %x", shapes[from-firstPort].name, answered[from][0].raw)
			}
			if len(answered) > 0 {
				t.Errorf("a shut port answers %d of %d shapes", len(answered), len(shapes))
			}
		}
	})
}

// firstOf returns some of what was answered: an example says as much as a thousand.
func firstOf(answered map[uint16][]arrived) []uint16 {
	all := slices.Sorted(maps.Keys(answered))
	return all[:min(len(all), 5)]
}

// firstPort is where the ports of an attacker begin: each packet comes from another.
const firstPort = 10000

// provoke sends a port packets of all shapes, and returns what came back, by the port it
// came back to.
func (l *link) provoke(t testing.TB, s *site, who netip.Addr, port uint16, shapes []shape) map[uint16][]arrived {
	t.Helper()
	to := netip.AddrPortFrom(s.addr, port)
	all := make(map[uint16][]arrived)
	const together = 64 // no more than a socket's buffer holds answers to
	for n, shape := range shapes {
		l.send(t, shape.packets(netip.AddrPortFrom(who, uint16(firstPort+n)), to)...)
		if n%together < together-1 && n < len(shapes)-1 {
			continue
		}
		for _, a := range l.answers(t, who, s.addr) {
			if at, ok := a.answers(who); ok {
				all[at] = append(all[at], a)
			}
		}
	}
	return all
}

// answers returns the port whose packet this answers, if it is the host's own TCP or UDP, or
// an error that quotes such a packet.
func (a arrived) answers(who netip.Addr) (uint16, bool) {
	switch {
	case a.isTCP() || a.proto == unix.IPPROTO_UDP:
		return a.target(), true
	case !a.isError():
		return 0, false
	}
	quoted, ok := parseQuoted(a.payload[8:])
	if !ok || quoted.from != who {
		return 0, false
	}
	return quoted.source(), true
}

// parseQuoted reads the beginning of a packet that an ICMP error quotes.
func parseQuoted(ip []byte) (arrived, bool) {
	switch {
	case len(ip) >= 28 && ip[0]>>4 == 4:
		header := int(ip[0]&15) * 4
		if len(ip) < header+4 {
			return arrived{}, false
		}
		return arrived{raw: ip, from: netip.AddrFrom4([4]byte(ip[12:])), to: netip.AddrFrom4([4]byte(ip[16:])), proto: ip[9], payload: ip[header:]}, true
	case len(ip) >= 44 && ip[0]>>4 == 6:
		a := arrived{raw: ip, from: netip.AddrFrom16([16]byte(ip[8:])), to: netip.AddrFrom16([16]byte(ip[24:])), proto: ip[6], payload: ip[40:]}
		for a.proto == unix.IPPROTO_HOPOPTS || a.proto == unix.IPPROTO_DSTOPTS || a.proto == unix.IPPROTO_ROUTING || a.proto == unix.IPPROTO_FRAGMENT {
			size := 8
			if a.proto != unix.IPPROTO_FRAGMENT {
				size += int(a.payload[1]) * 8
			}
			if len(a.payload) < size+4 {
				return arrived{}, false
			}
			a.proto, a.payload = a.payload[0], a.payload[size:]
		}
		return a, true
	}
	return arrived{}, false
}
