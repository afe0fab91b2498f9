package integration

import (
	"net/netip"
	"strings"
	"testing"
)

// TestSegmentsThatAreNoSYN sends what somebody connected would send, and then
// asks for a connection from the same source port. The gate lets those pass
// whose connection is up, and must not take this for one.
func TestSegmentsThatAreNoSYN(t *testing.T) {
	lures := [][]byte{
		{flagACK},
		{flagACK, flagACK, flagACK},
		{flagFIN | flagACK, flagACK},
		{flagSYN | flagACK},
		{flagSYN | flagACK, flagACK},
		{flagRST, flagACK},
		{flagFIN},
		{0},
	}
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		startDaemon(t, s.server, sshDoor)
		to := netip.AddrPortFrom(s.addr, 22)
		for i, flags := range lures {
			from := netip.AddrPortFrom(s.person, uint16(41000+i))
			var segments []packet
			for n, f := range flags {
				segments = append(segments, tcp(from, to, uint32(1000+n), f))
			}
			s.client.send(t, segments...)
			if c, a, err := s.client.dialFrom(from, to, notLong); a != silent {
				t.Errorf("after segments with the flags %#x the port is %s: %v", flags, a, err)
				if c != nil {
					c.Close()
				}
			}
		}
	})
}

// TestLinkLocal knocks at, and tries, the address that IPv6 gives each
// interface by itself.
func TestLinkLocal(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv6)
	s.server.listenTCP(t, 22)
	s.addr, s.person = s.server.linkLocal(t), s.client.linkLocal(t)
	startDaemon(t, s.server, sshDoor)
	s.expectShut(t, s.person, "22", silent)

	s.client.run(t, "knock", append([]string{"-d", "50", s.addr.String()}, sshSequence...)...)
	s.expectOpen(t, s.person, "22")
}

// linkLocal returns the host's link-local address on net1, which is its zone.
func (h *host) linkLocal(t *testing.T) netip.Addr {
	t.Helper()
	var found netip.Addr
	eventually(t, h.name+" has a link-local address", func() bool {
		out := h.run(t, "ip", "-o", "-6", "addr", "show", "dev", "net1", "scope", "link", "-tentative")
		for _, word := range strings.Fields(out) {
			if p, err := netip.ParsePrefix(word); err == nil {
				found = p.Addr().WithZone("net1")
				return true
			}
		}
		return false
	})
	return found
}
