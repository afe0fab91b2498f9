package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A Capture sees what arrives at a host on one wire.
type Capture struct {
	fd   int
	seen []string
}

// Capture begins to see what arrives at the host on one wire.
func (h *Host) Capture(t testing.TB, net byte) *Capture {
	t.Helper()
	i := h.InterfaceByName(t, fmt.Sprintf("net%d", net))
	return &Capture{fd: h.PacketSocket(t, i.Index, unix.ETH_P_ALL)}
}

// Knocks returns the SYNs and datagrams to an address that have arrived so far, in their
// order, as "tcp 10.1.0.1:7214, 0 bytes".
func (c *Capture) Knocks(t testing.TB, to netip.Addr) []string {
	t.Helper()
	frame := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(c.fd, frame, 0)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING {
			if k, ok := parseFrame(frame[:n], to); ok {
				c.seen = append(c.seen, k)
			}
		}
	}
	return slices.Clone(c.seen)
}

// Expect waits until as many knocks as these have arrived, and compares them.
func (c *Capture) Expect(t testing.TB, to netip.Addr, want []string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d knocks have arrived", len(want)), func() bool { return len(c.Knocks(t, to)) >= len(want) })
	if diff := cmp.Diff(want, c.Knocks(t, to)); diff != "" {
		t.Error(diff)
	}
}

// parseFrame reads a frame of Ethernet with nothing in it that knocks don't have.
func parseFrame(f []byte, to netip.Addr) (knock string, ok bool) {
	var proto byte
	var dst netip.Addr
	var segment []byte
	switch {
	case len(f) >= 34 && f[12] == 0x08 && f[13] == 0:
		proto, dst = f[23], netip.AddrFrom4([4]byte(f[30:34]))
		segment = f[14+int(f[14]&15)*4 : 14+int(binary.BigEndian.Uint16(f[16:]))]
	case len(f) >= 54 && f[12] == 0x86 && f[13] == 0xdd:
		proto, dst = f[20], netip.AddrFrom16([16]byte(f[38:54]))
		segment = f[54 : 54+int(binary.BigEndian.Uint16(f[18:]))]
	}
	if dst != to {
		return "", false
	}
	switch {
	case proto == unix.IPPROTO_TCP && segment[13]&(FlagSYN|FlagACK|FlagRST|FlagFIN) == FlagSYN:
		return Arrival("tcp", dst, binary.BigEndian.Uint16(segment[2:]), len(segment)-int(segment[12]>>4)*4), true
	case proto == unix.IPPROTO_UDP:
		return Arrival("udp", dst, binary.BigEndian.Uint16(segment[2:]), len(segment)-8), true
	}
	return "", false
}

// Arrival is how a capture writes a knock.
func Arrival(proto string, to netip.Addr, port uint16, payload int) string {
	return fmt.Sprintf("%s %v, %d bytes", proto, netip.AddrPortFrom(to, port), payload)
}
