package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

// Building blocks of packets.

func ipv4Header(proto byte, options []byte, fragmentOffset uint16) []byte {
	b := make([]byte, 20, 60)
	b[0] = 4<<4 | byte(5+len(options)/4)
	binary.BigEndian.PutUint16(b[6:], fragmentOffset)
	b[9] = proto
	copy(b[12:], []byte{203, 0, 113, 7})
	copy(b[16:], []byte{192, 0, 2, 1})
	return append(b, options...)
}

func ipv6Header(next byte) []byte {
	b := make([]byte, 40)
	b[0] = 6 << 4
	b[6] = next
	source, destination := netip.MustParseAddr("2001:db8::7").As16(), netip.MustParseAddr("2001:db8::1").As16()
	copy(b[8:], source[:])
	copy(b[24:], destination[:])
	return b
}

// extension returns an IPv6 extension header of 8+8*more bytes.
func extension(next, more byte) []byte {
	b := make([]byte, 8+8*int(more))
	b[0], b[1] = next, more
	return b
}

func tcpHeader(flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 50123)
	binary.BigEndian.PutUint16(b[2:], 7011)
	binary.BigEndian.PutUint32(b[4:], 0xdeadbeef)
	b[13] = flags
	return b
}

func udpHeader() []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, 50123)
	binary.BigEndian.PutUint16(b[2:], 7011)
	return b
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

var (
	syn4 = knock.Packet{Source: netip.MustParseAddr("203.0.113.7"), SourcePort: 50123, Port: tcp(7011), ISN: 0xdeadbeef}
	syn6 = knock.Packet{Source: netip.MustParseAddr("2001:db8::7"), SourcePort: 50123, Port: tcp(7011), ISN: 0xdeadbeef}
	udp4 = knock.Packet{Source: netip.MustParseAddr("203.0.113.7"), SourcePort: 50123, Port: udp(7011)}
	udp6 = knock.Packet{Source: netip.MustParseAddr("2001:db8::7"), SourcePort: 50123, Port: udp(7011)}
)

// What decodes: the tests of truncation and the fuzzer start from these.
var knocks = []struct {
	name   string
	packet []byte
	want   knock.Packet
}{
	{"IPv4 TCP", join(ipv4Header(6, nil, 0), tcpHeader(syn)), syn4},
	{"IPv4 TCP, ECN and PSH", join(ipv4Header(6, nil, 0), tcpHeader(syn|0xe8)), syn4},
	{"IPv4 UDP", join(ipv4Header(17, nil, 0), udpHeader()), udp4},
	{"IPv4 with options", join(ipv4Header(6, make([]byte, 40), 0), tcpHeader(syn)), syn4},
	{"IPv4 first fragment", join(ipv4Header(6, nil, 0x2000), tcpHeader(syn)), syn4},
	{"IPv6 TCP", join(ipv6Header(6), tcpHeader(syn)), syn6},
	{"IPv6 UDP", join(ipv6Header(17), udpHeader()), udp6},
	{"IPv6 with extension headers", join(ipv6Header(hopByHop), extension(routing, 0), extension(destOptions, 1),
		extension(authHeader, 1), extension(6, 2)[:16], tcpHeader(syn)), syn6},
	{"IPv6 first fragment", join(ipv6Header(fragment), []byte{6, 0, 0, 1, 0, 0, 0, 9}, tcpHeader(syn)), syn6},
}

func TestDecode(t *testing.T) {
	for _, test := range knocks {
		got, _, err := decode(test.packet)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.name, diff)
		}
	}
}

func TestDecodeTruncated(t *testing.T) {
	for _, test := range knocks {
		// TCP's header is needed as far as its flags.
		needed := len(test.packet)
		if test.want.Port.Proto == knock.TCP {
			needed -= 20 - 14
		}
		for n := range test.packet {
			_, _, err := decode(test.packet[:n:n])
			if n < needed && !errors.Is(err, errTruncated) {
				t.Errorf("%s, %d bytes: %v", test.name, n, err)
			}
			if n >= needed && err != nil {
				t.Errorf("%s, %d bytes are enough: %v", test.name, n, err)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	from := func(packet []byte, source string) []byte {
		address := netip.MustParseAddr(source).AsSlice()
		copy(packet[8+4*(16-len(address))/12:], address)
		return packet
	}
	portZero := join(ipv4Header(17, nil, 0), udpHeader())
	portZero[22], portZero[23] = 0, 0
	tests := []struct {
		name   string
		packet []byte
		want   error
	}{
		{"IPv5", []byte{0x50}, errVersion},
		{"IPv4 header too short for itself", append([]byte{0x44}, make([]byte, 40)...), errTruncated},
		{"IPv4 later fragment", join(ipv4Header(6, nil, 1), tcpHeader(syn)), errFragment},
		{"IPv6 later fragment", join(ipv6Header(fragment), []byte{6, 0, 0, 8, 0, 0, 0, 9}, tcpHeader(syn)), errFragment},
		{"ICMP", join(ipv4Header(1, nil, 0), udpHeader()), errProtocol},
		{"IPv6 ESP", join(ipv6Header(50), udpHeader()), errProtocol},
		{"SYN-ACK", join(ipv4Header(6, nil, 0), tcpHeader(syn|ack)), errNotSYN},
		{"ACK", join(ipv4Header(6, nil, 0), tcpHeader(ack)), errNotSYN},
		{"SYN-FIN", join(ipv4Header(6, nil, 0), tcpHeader(syn|fin)), errNotSYN},
		{"SYN-RST", join(ipv4Header(6, nil, 0), tcpHeader(syn|rst)), errNotSYN},
		{"no flags", join(ipv4Header(6, nil, 0), tcpHeader(0)), errNotSYN},
		{"port 0", portZero, errPort},
		{"unspecified source", from(join(ipv4Header(17, nil, 0), udpHeader()), "0.0.0.0"), errSource},
		{"multicast source", from(join(ipv4Header(17, nil, 0), udpHeader()), "224.0.0.1"), errSource},
		{"IPv4-mapped source", from(join(ipv6Header(17), udpHeader()), "::ffff:203.0.113.7"), errSource},
	}
	for _, test := range tests {
		if _, _, err := decode(test.packet); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, k := range knocks {
		f.Add(k.packet)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := decode(b)
		if err != nil {
			if p != (knock.Packet{}) {
				t.Errorf("%v and %v", p, err)
			}
			return
		}
		if !p.Source.IsValid() || p.Source.Is4In6() || p.Port.Number == 0 || p.Port.Proto != knock.TCP && p.Port.Proto != knock.UDP {
			t.Errorf("impossible packet %+v", p)
		}
		// What comes after the ports and flags does not matter.
		if longer, _, err := decode(append(b[:len(b):len(b)], 0xff)); err != nil || longer != p {
			t.Errorf("with another byte: %+v, %v, want %+v", longer, err, p)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, k := range knocks {
		b.Run(k.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := decode(k.packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A payload is returned whole or not at all.
func TestDecodePayload(t *testing.T) {
	text := []byte("a packet")
	datagram := func(length int) []byte {
		header := udpHeader()
		binary.BigEndian.PutUint16(header[4:], uint16(length))
		return join(ipv4Header(17, nil, 0), header, text)
	}
	for length, want := range map[int][]byte{
		8 + len(text): text, 8 + 1: text[:1], 8: {},
		8 + len(text) + 1: nil, 65535: nil, // cut off, by the log or into fragments
		7: nil, 0: nil,
	} {
		_, payload, err := decode(datagram(length))
		if err != nil || !bytes.Equal(payload, want) {
			t.Errorf("length %d: %q, %v", length, payload, err)
		}
	}
	if _, payload, err := decode(join(ipv6Header(6), tcpHeader(syn), text)); err != nil || payload != nil {
		t.Errorf("TCP: %q, %v", payload, err)
	}
}
