package lab

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Packet is what follows an IP header, and what stands in that.
type Packet struct {
	Proto    byte
	From, To netip.Addr
	Payload  []byte
}

// The flags of TCP (RFC 9293, 3.1).
const (
	FlagFIN = 0x01
	FlagSYN = 0x02
	FlagRST = 0x04
	FlagPSH = 0x08
	FlagACK = 0x10
)

// TCP is a TCP segment without data.
func TCP(from, to netip.AddrPort, seq uint32, flags byte) Packet {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	if flags&FlagACK != 0 {
		binary.BigEndian.PutUint32(b[8:], 1)
	}
	b[12] = byte(len(b) / 4 << 4)
	b[13] = flags
	binary.BigEndian.PutUint16(b[14:], 64240)
	p := Packet{unix.IPPROTO_TCP, from.Addr(), to.Addr(), b}
	binary.BigEndian.PutUint16(b[16:], p.checksum())
	return p
}

// UDP is a UDP datagram with nothing in it.
func UDP(from, to netip.AddrPort) Packet {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	p := Packet{unix.IPPROTO_UDP, from.Addr(), to.Addr(), b}
	binary.BigEndian.PutUint16(b[6:], p.checksum())
	return p
}

// ParseKnock returns the packet that a knock in knock(1)'s notation is, from
// a source port as the machine would choose it.
func ParseKnock(from, to netip.Addr, knock string) (Packet, error) {
	number, proto, _ := strings.Cut(knock, ":")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Packet{}, fmt.Errorf("knock %q: %w", knock, err)
	}
	source := netip.AddrPortFrom(from, uint16(32768+rand.IntN(28000)))
	target := netip.AddrPortFrom(to, uint16(port))
	if proto == "udp" {
		return UDP(source, target), nil
	}
	return TCP(source, target, rand.Uint32(), FlagSYN), nil
}

// checksum is the checksum of TCP and UDP (RFC 9293, 3.1; RFC 8200, 8.1). The
// field that it belongs in has to be zero.
func (p Packet) checksum() uint16 {
	sum := TransportSum(p.From, p.To, p.Proto, p.Payload)
	if sum == 0 && p.Proto == unix.IPPROTO_UDP {
		return 0xffff // zero would say that there is none
	}
	return sum
}

// Bytes is the packet as it stands on the wire.
func (p Packet) Bytes() []byte {
	return (&Datagram{From: p.From, To: p.To, Proto: p.Proto, Payload: p.Payload}).Bytes()
}

// Send sends the packet from this thread's host. Its source may be any
// address, not only one of the host.
func (p Packet) Send() error {
	domain := unix.AF_INET
	if p.To.Is6() {
		domain = unix.AF_INET6
	}
	// With IPPROTO_RAW, the IP header is the sender's (raw(7)). Before Linux 5.17 no raw
	// socket of IPv4 can be bound to any address instead.
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, p.Bytes(), 0, Sockaddr(p.To, 0))
}

// Sockaddr is an address and a port as system calls take them.
func Sockaddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}

// Send sends packets from the host, in order and back to back.
func (h *Host) Send(t testing.TB, packets ...Packet) {
	t.Helper()
	err := h.In(func() error {
		if err := StayOnProcessor(); err != nil {
			return err
		}
		for _, p := range packets {
			if err := p.Send(); err != nil {
				return fmt.Errorf("sending from %v to %v: %w", p.From, p.To, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// StayOnProcessor binds the calling thread to one processor. Packets sent from
// two could overtake each other on the way.
func StayOnProcessor() error {
	var allowed, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	nth := rand.IntN(allowed.Count())
	for cpu := 0; ; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		if nth == 0 {
			one.Set(cpu)
			return unix.SchedSetaffinity(0, &one)
		}
		nth--
	}
}

// Knock knocks, in knock(1)'s notation, with packets of our own making. The
// tests of how people knock use people's programs instead.
func (s *Topology) Knock(t testing.TB, from netip.Addr, knocks ...string) {
	t.Helper()
	var packets []Packet
	for _, k := range knocks {
		p, err := ParseKnock(from, s.Addr, k)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
	s.Client.Send(t, packets...)
}

// RunKnock runs the real knock(1) with a delay in milliseconds.
func (s *Topology) RunKnock(t testing.TB, delay string, knocks ...string) {
	t.Helper()
	s.NeedKnock(t)
	s.Client.Run(t, "knock", append([]string{"-d", delay, s.Addr.String()}, knocks...)...)
}

// NeedKnock skips a test for which the real knock(1) is too old: before 0.8 it has no IPv6.
func (s *Topology) NeedKnock(t testing.TB) {
	t.Helper()
	if s.Addr.Is6() && strings.HasPrefix(s.Client.Run(t, "knock", "-V"), "knock 0.7") {
		t.Skip("this knock has no IPv6: 0.8 or newer has")
	}
}
