package functional

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestLinkLocalOnOneLink has two hosts with the same link-local address, each on a link of
// its own: who is let in on one link is somebody else on the other.
func TestLinkLocalOnOneLink(t *testing.T) {
	t.Parallel()
	const same = "fe80::1234"
	s := lab.NewTopology(t, lab.IPv6)
	s.Server.ServeBanner(t, 22)
	other := lab.NewHost(t, "other")
	lab.Connect(t, 2, s.Server, other)
	s.Client.Run(t, "ip", "addr", "add", same+"/64", "dev", "net1", "nodad")
	other.Run(t, "ip", "addr", "add", same+"/64", "dev", "net2", "nodad")
	s.Server.Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "net1", "nodad")
	s.Server.Run(t, "ip", "addr", "add", "fe80::1/64", "dev", "net2", "nodad")

	person := netip.MustParseAddr(same).WithZone("net1")
	stranger := person.WithZone("net2")
	server := netip.MustParseAddr("fe80::1")
	tries := func(h *lab.Host, from netip.Addr, timeout time.Duration) bool {
		return h.Reaches(netip.AddrPortFrom(from, 0), netip.AddrPortFrom(server.WithZone(from.Zone()), 22), timeout)
	}
	for _, h := range []struct {
		host *lab.Host
		from netip.Addr
	}{{s.Client, person}, {other, stranger}} {
		lab.Eventually(t, h.host.Name+" reaches the server without a gate", func() bool { return tries(h.host, h.from, time.Second) })
	}

	lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
	if tries(s.Client, person, soonEnough) || tries(other, stranger, soonEnough) {
		t.Fatal("the port is not shut")
	}
	knockOnLink(t, s, person, server)
	lab.Eventually(t, "who has knocked gets in", func() bool { return tries(s.Client, person, time.Second) })
	for range 3 {
		if tries(other, stranger, soonEnough) {
			t.Fatal("who has the same address on another link gets in, too")
		}
	}
}

// knockOnLink knocks from one link-local address at another.
func knockOnLink(t testing.TB, s *lab.Topology, from, to netip.Addr) {
	t.Helper()
	l := lab.OpenLink(t, s.Client, s.Server, 1)
	for n, port := range []uint16{7214, 8391, 6127} {
		l.Send(t, lab.SYNOf(netip.AddrPortFrom(from.WithZone(""), uint16(40000+n)), netip.AddrPortFrom(to.WithZone(""), port), 1000).Datagram())
	}
}

// soonEnough is how long a host that is not answered waits.
const soonEnough = 300 * time.Millisecond

// TestLinkLocalNeighbours lets one host in, through a door that lets whole networks in: all
// of a link have the first 64 bits of their link-local addresses in common.
func TestLinkLocalNeighbours(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv6)
	s.Server.ServeBanner(t, 22)
	person, neighbour := netip.MustParseAddr("fe80::1234%net1"), netip.MustParseAddr("fe80::5678%net1")
	for _, a := range []netip.Addr{person, neighbour} {
		s.Client.Run(t, "ip", "addr", "add", fmt.Sprintf("%v/64", a.WithZone("")), "dev", "net1", "nodad")
	}
	server := s.Server.LinkLocal(t)
	to := netip.AddrPortFrom(server, 22)
	lab.Eventually(t, "the server answers without a gate", func() bool {
		return s.Client.Reaches(netip.AddrPortFrom(person, 0), to, time.Second) && s.Client.Reaches(netip.AddrPortFrom(neighbour, 0), to, time.Second)
	})
	lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor+"ipv6_prefix = 64\n")
	knockOnLink(t, s, person, server)
	lab.Eventually(t, "who has knocked gets in", func() bool {
		return s.Client.Reaches(netip.AddrPortFrom(person, 0), to, time.Second)
	})
	if s.Client.Reaches(netip.AddrPortFrom(neighbour, 0), to, soonEnough) {
		t.Error("a neighbour gets in, too")
	}
}
