package functional

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// The ports of a door that answers as a closed port does, and those that are closed.
const (
	rejectingDoor = lab.NoDecoys + `
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
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, test := range []struct {
			name         string
			shut, closed uint16
			shapes       []shape
		}{
			{"TCP", shutTCP, closedTCP, append(shapesOfTCP(), shapesOfAnswer()...)},
			{"IP", shutTCP, closedTCP, shapesOfIP(f)},
			{"UDP", shutUDP, closedUDP, shapesOfUDP()},
		} {
			if f == lab.IPv6 { // what is left to tell a shut port by: nft/doc.go, "What remains"
				test.shapes = slices.DeleteFunc(test.shapes, func(s shape) bool {
					return strings.Contains(s.name, "fragment") || strings.Contains(s.name, "headers 44 ") || test.name == "UDP" && strings.HasPrefix(s.name, "no checksum")
				})
			}
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ServeBanner(t, shutTCP)
				s.Server.EchoUDP(t, shutUDP)
				neverTired(t, s)
				lab.StartDaemon(t, s.Server, rejectingDoor)
				s.ExpectShut(t, s.Source, "22", lab.Refused)

				l := lab.OpenLink(t, s.Client, s.Server, 1)
				who := l.Phantom(t, f.Addr(1, 20, 1))
				shut := provoke(t, s, l, who, test.shut, test.shapes)
				closed := provoke(t, s, l, who, test.closed, test.shapes)
				if len(closed) == 0 {
					t.Fatal("a closed port does not answer: the test proves nothing")
				}
				expectAlike(t, test.shapes, shut, closed, test.shut, test.closed)
			})
		}
	})
}

// neverTired has the server answer each question with an error, however many come.
func neverTired(t testing.TB, s *lab.Topology) {
	t.Helper()
	s.Server.Sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	s.Server.Sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	s.Server.Sysctl(t, "net/ipv4/icmp_msgs_per_sec", "1000000")
	s.Server.Sysctl(t, "net/ipv4/icmp_msgs_burst", "1000000")
}

// shapesOfAnswer are what an answer may take something over from.
func shapesOfAnswer() []shape {
	var all []shape
	add := func(name string, flags byte, change func(d *lab.Datagram)) {
		all = append(all, shape{fmt.Sprintf("%s, flags %#02x", name, flags), func(from, to netip.AddrPort) []*lab.Datagram {
			d := lab.Segment{From: from, To: to, Seq: 0xfffffff0, Ack: 0x80000001, Flags: flags, Options: lab.OptionTimestamps, Data: bytes.Repeat([]byte("x"), 32)}.Datagram()
			change(d)
			return []*lab.Datagram{d}
		}})
	}
	for _, flags := range []byte{lab.FlagSYN, lab.FlagACK, lab.FlagFIN | lab.FlagACK} {
		for tos := range 256 {
			add(fmt.Sprintf("TOS %#02x", tos), flags, func(d *lab.Datagram) { d.TOS = byte(tos) })
		}
		for _, label := range []uint32{0, 1, 0x12345, 0xfffff} {
			add(fmt.Sprintf("flow label %#x", label), flags, func(d *lab.Datagram) { d.Label = label })
		}
		for _, ttl := range []byte{1, 2, 63, 255} {
			add(fmt.Sprintf("TTL %d", ttl), flags, func(d *lab.Datagram) { d.TTL = ttl })
		}
		add("ID", flags, func(d *lab.Datagram) { d.ID = 0xabcd })
		add("no checksum", flags, func(d *lab.Datagram) { d.Payload[16], d.Payload[17] = 0, 0 })
		add("a wrong checksum", flags, func(d *lab.Datagram) { d.Payload[16] ^= 1 })
		add("a header too long for it", flags, func(d *lab.Datagram) { d.Payload[12] = 0xf0 })
		add("a header too short", flags, func(d *lab.Datagram) { d.Payload[12] = 0x40 })
		add("cut short", flags, func(d *lab.Datagram) { d.Payload = d.Payload[:12] })
	}
	return all
}

func shapesOfUDP() []shape {
	var all []shape
	add := func(name string, size int, change func(d *lab.Datagram) []*lab.Datagram) {
		all = append(all, shape{fmt.Sprintf("%s, %d bytes", name, size), func(from, to netip.AddrPort) []*lab.Datagram {
			return change(lab.UDPDatagram(from, to, bytes.Repeat([]byte("x"), size)))
		}})
	}
	for _, size := range []int{0, 1, 8, 100, 548, 1200, 1400} {
		for _, tos := range []byte{0, 0x10, 0x48, 0xb8, 0xff} {
			for _, label := range []uint32{0, 0x12345} {
				add(fmt.Sprintf("TOS %#02x, flow label %#x", tos, label), size, func(d *lab.Datagram) []*lab.Datagram {
					d.TOS, d.Label = tos, label
					return []*lab.Datagram{d}
				})
			}
		}
		add("no checksum", size, func(d *lab.Datagram) []*lab.Datagram { d.Payload[6], d.Payload[7] = 0, 0; return []*lab.Datagram{d} })
		add("a wrong checksum", size, func(d *lab.Datagram) []*lab.Datagram { d.Payload[6] ^= 1; return []*lab.Datagram{d} })
		add("in fragments", size, func(d *lab.Datagram) []*lab.Datagram { d.ID = uint16(300 + size); return d.Cut(64) })
	}
	return all
}

// expectAlike compares what two ports have answered.
func expectAlike(t *testing.T, shapes []shape, shut, closed map[uint16][]lab.Received, shutPort, closedPort uint16) {
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
func describe(all []lab.Received, port uint16) string {
	var b strings.Builder
	for _, a := range all {
		raw := bytes.Clone(a.Raw)
		at := len(raw) - len(a.Payload)
		notes := neutral(raw, at)
		switch {
		case a.IsTCP():
			if a.Source() != port {
				notes += fmt.Sprintf(" from port %d", a.Source())
			}
			if !a.Unsummed && lab.TransportSum(a.From, a.To, a.Proto, a.Payload) != 0 {
				notes += " wrong checksum"
			}
			clear(raw[at : at+2])
			clear(raw[at+16 : at+18])
		case a.IsError():
			clear(raw[at+2 : at+4])
			if quoted, ok := parseQuoted(a.Payload[8:]); ok && len(quoted.Payload) >= 4 {
				if quoted.Target() != port {
					notes += fmt.Sprintf(" quotes port %d", quoted.Target())
				}
				q := len(raw) - len(quoted.Payload)
				clear(raw[q+2 : q+4])
				if quoted.Proto == unix.IPPROTO_UDP && len(quoted.Payload) >= 8 {
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
		sum := lab.WordSum(raw[:header])
		clear(raw[4:6])
		clear(raw[10:12])
		if header > 24 && raw[20] == 0x44 { // a time stamp (RFC 791): when it was answered
			clear(raw[24:header])
		}
		notes := ""
		if id != 0 {
			notes += " with an ID"
		}
		if lab.Complement(sum) != 0 {
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
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		lab.StartDaemon(t, s.Server, rejectingDoor)
		s.ExpectShut(t, s.Source, "22", lab.Refused)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, f.Addr(1, 20, 1))
		for _, ports := range [][]uint16{{22, 0}, {0, 22}, {22, 0, 22}, {22, 2222, 22, 0, 2222}, {2222, 22, 23, 22}} {
			from := netip.AddrPortFrom(who, firstPort)
			for _, port := range ports {
				// Nothing answers these: what is kept for an answer must not be left for the next.
				l.Send(t, lab.Segment{From: from, To: netip.AddrPortFrom(s.Addr, 22), Seq: 1000, Flags: lab.FlagRST}.Datagram())
				signed := lab.SYNOf(from, netip.AddrPortFrom(s.Addr, 2222), 1000)
				signed.Options = lab.OptionMD5
				l.Send(t, signed.Datagram())
				l.Send(t, lab.Segment{From: from, To: netip.AddrPortFrom(s.Addr, port), Seq: 1000, Flags: lab.FlagSYN}.Datagram())
			}
			var answered []uint16
			for _, a := range l.Answers(t, who, s.Addr) {
				if a.IsTCP() && a.Flags() == lab.FlagRST|lab.FlagACK {
					answered = append(answered, a.Source())
				}
			}
			if fmt.Sprint(answered) != fmt.Sprint(ports) {
				t.Errorf("asked at ports %v, and answered from %v", ports, answered)
			}
		}
	})
}
