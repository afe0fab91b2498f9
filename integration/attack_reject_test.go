package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The ports of a door that answers as a closed port does, and those that are closed.
const (
	rejectingDoor = noDecoys + `
[door.wire]
ports    = [22, 2222, "51820:udp"]
sequence = [7214, 8391, 6127]
shut     = "reject"
`
	shutTCP, closedTCP = 22, 23
	shutUDP, closedUDP = 51820, 51821
)

// TestRejectIsAClosedPort sends a shut port and a closed port packets of every shape, and
// compares the answers byte for byte.
func TestRejectIsAClosedPort(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, test := range []struct {
			name         string
			shut, closed uint16
			shapes       []shape
		}{
			{"TCP", shutTCP, closedTCP, append(shapesOfTCP(), shapesOfAnswer()...)},
			{"IP", shutTCP, closedTCP, shapesOfIP(f)},
			{"UDP", shutUDP, closedUDP, shapesOfUDP()},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.serveBanner(t, shutTCP)
				s.server.echoUDP(t, shutUDP)
				s.neverTired(t)
				startDaemon(t, s.server, rejectingDoor)
				s.expectShut(t, s.person, "22", refused)

				l := openLink(t, s.client, s.server, 1)
				who := l.phantom(t, f.addr(1, 20, 1))
				shut := l.provoke(t, s, who, test.shut, test.shapes)
				closed := l.provoke(t, s, who, test.closed, test.shapes)
				if len(closed) == 0 {
					t.Fatal("a closed port does not answer: the test proves nothing")
				}
				expectAlike(t, test.shapes, shut, closed, test.shut, test.closed)
			})
		}
	})
}

// neverTired has the server answer each question with an error, however many come.
func (s *site) neverTired(t testing.TB) {
	t.Helper()
	s.server.sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	s.server.sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	s.server.sysctl(t, "net/ipv4/icmp_msgs_per_sec", "1000000")
	s.server.sysctl(t, "net/ipv4/icmp_msgs_burst", "1000000")
}

// shapesOfAnswer are what an answer may take something over from.
func shapesOfAnswer() []shape {
	var all []shape
	add := func(name string, flags byte, change func(d *datagram)) {
		all = append(all, shape{fmt.Sprintf("%s, flags %#02x", name, flags), func(from, to netip.AddrPort) []*datagram {
			d := segment{from: from, to: to, seq: 0xfffffff0, ack: 0x80000001, flags: flags, options: optionStamps, data: bytes.Repeat([]byte("x"), 32)}.datagram()
			change(d)
			return []*datagram{d}
		}})
	}
	for _, flags := range []byte{flagSYN, flagACK, flagFIN | flagACK} {
		for tos := range 256 {
			add(fmt.Sprintf("TOS %#02x", tos), flags, func(d *datagram) { d.tos = byte(tos) })
		}
		for _, label := range []uint32{0, 1, 0x12345, 0xfffff} {
			add(fmt.Sprintf("flow label %#x", label), flags, func(d *datagram) { d.label = label })
		}
		for _, ttl := range []byte{1, 2, 63, 255} {
			add(fmt.Sprintf("TTL %d", ttl), flags, func(d *datagram) { d.ttl = ttl })
		}
		add("ID", flags, func(d *datagram) { d.id = 0xabcd })
		add("no checksum", flags, func(d *datagram) { d.payload[16], d.payload[17] = 0, 0 })
		add("a wrong checksum", flags, func(d *datagram) { d.payload[16] ^= 1 })
		add("a header too long for it", flags, func(d *datagram) { d.payload[12] = 0xf0 })
		add("a header too short", flags, func(d *datagram) { d.payload[12] = 0x40 })
		add("cut short", flags, func(d *datagram) { d.payload = d.payload[:12] })
	}
	return all
}

func shapesOfUDP() []shape {
	var all []shape
	add := func(name string, size int, change func(d *datagram) []*datagram) {
		all = append(all, shape{fmt.Sprintf("%s, %d bytes", name, size), func(from, to netip.AddrPort) []*datagram {
			return change(udpWith(from, to, bytes.Repeat([]byte("x"), size)))
		}})
	}
	for _, size := range []int{0, 1, 8, 100, 548, 1200, 1400} {
		for _, tos := range []byte{0, 0x10, 0x48, 0xb8, 0xff} {
			for _, label := range []uint32{0, 0x12345} {
				add(fmt.Sprintf("TOS %#02x, flow label %#x", tos, label), size, func(d *datagram) []*datagram {
					d.tos, d.label = tos, label
					return []*datagram{d}
				})
			}
		}
		add("no checksum", size, func(d *datagram) []*datagram { d.payload[6], d.payload[7] = 0, 0; return []*datagram{d} })
		add("a wrong checksum", size, func(d *datagram) []*datagram { d.payload[6] ^= 1; return []*datagram{d} })
		add("in fragments", size, func(d *datagram) []*datagram { d.id = uint16(300 + size); return d.cut(64) })
	}
	return all
}

// expectAlike compares what two ports have answered.
func expectAlike(t *testing.T, shapes []shape, shut, closed map[uint16][]arrived, shutPort, closedPort uint16) {
	t.Helper()
	unlike := 0
	for n, shape := range shapes {
		from := uint16(firstPort + n)
		got, want := describe(shut[from], shutPort), describe(closed[from], closedPort)
		if got == want {
			continue
		}
		if unlike++; unlike <= 5 {
			t.Errorf("%s:\na shut port answers   %s\na closed port answers %s", shape.name, got, want)
		}
	}
	if unlike > 0 {
		t.Errorf("a shut port answers %d of %d shapes as no closed port does", unlike, len(shapes))
	}
}

// describe shows answers byte for byte, but for what depends on the port or is a number that
// was drawn: it is replaced by what kind it is.
func describe(all []arrived, port uint16) string {
	var b strings.Builder
	for _, a := range all {
		raw := bytes.Clone(a.raw)
		at := len(raw) - len(a.payload)
		notes := neutral(raw, at)
		switch {
		case a.isTCP():
			if a.source() != port {
				notes += fmt.Sprintf(" from port %d", a.source())
			}
			if !a.unsummed && transportSum(a.from, a.to, a.proto, a.payload) != 0 {
				notes += " wrong checksum"
			}
			clear(raw[at : at+2])
			clear(raw[at+16 : at+18])
		case a.isError():
			clear(raw[at+2 : at+4])
			if quoted, ok := parseQuoted(a.payload[8:]); ok && len(quoted.payload) >= 4 {
				if quoted.target() != port {
					notes += fmt.Sprintf(" quotes port %d", quoted.target())
				}
				q := len(raw) - len(quoted.payload)
				clear(raw[q+2 : q+4])
				if quoted.proto == unix.IPPROTO_UDP && len(quoted.payload) >= 8 {
					clear(raw[q+6 : q+8]) // covers the port
				}
			}
		}
		fmt.Fprintf(&b, "[%x%s]", raw, notes)
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}

// neutral takes out of an IP header what is a number drawn by the host, and says of what
// kind that was.
func neutral(raw []byte, header int) string {
	if raw[0]>>4 == 4 {
		id := binary.BigEndian.Uint16(raw[4:])
		sum := wordSum(raw[:header])
		clear(raw[4:6])
		clear(raw[10:12])
		notes := ""
		if id != 0 {
			notes += " with an ID"
		}
		if complement(sum) != 0 {
			notes += " wrong header checksum"
		}
		return notes
	}
	label := binary.BigEndian.Uint32(raw) & 0xfffff
	binary.BigEndian.PutUint32(raw, binary.BigEndian.Uint32(raw)&^0xfffff)
	if label != 0 {
		return " with a flow label"
	}
	return ""
}

// TestRejectAndPortZero asks a shut port, and then port 0 from the same port: each answers
// for itself.
func TestRejectAndPortZero(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.serveBanner(t, 22)
		startDaemon(t, s.server, rejectingDoor)
		s.expectShut(t, s.person, "22", refused)
		l := openLink(t, s.client, s.server, 1)
		who := l.phantom(t, f.addr(1, 20, 1))
		for _, ports := range [][]uint16{{22, 0}, {0, 22}, {22, 0, 22}, {22, 2222, 22, 0, 2222}, {2222, 22, 23, 22}} {
			from := netip.AddrPortFrom(who, firstPort)
			for _, port := range ports {
				l.send(t, segment{from: from, to: netip.AddrPortFrom(s.addr, port), seq: 1000, flags: flagSYN}.datagram())
			}
			var answered []uint16
			for _, a := range l.answers(t, who, s.addr) {
				if a.isTCP() && a.flags() == flagRST|flagACK {
					answered = append(answered, a.source())
				}
			}
			if fmt.Sprint(answered) != fmt.Sprint(ports) {
				t.Errorf("asked at ports %v, and answered from %v", ports, answered)
			}
		}
	})
}
