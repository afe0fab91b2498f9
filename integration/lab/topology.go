package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// A Family is a version of IP.
type Family int

const (
	IPv4 Family = 4
	IPv6 Family = 6
)

func familyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// Addr returns an address: 10.NET.SUB.HOST or fd00:NET:0:SUB::HOST. All of a
// net is one wire, a subnet is the 24 or 64 bits that ipv4_prefix and
// ipv6_prefix are about.
func (f Family) Addr(net, sub, host byte) netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte{10, net, sub, host})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: net, 7: sub, 15: host})
}

// WireLen is the prefix length that all of a net is behind.
func (f Family) WireLen() int {
	if f == IPv4 {
		return 16
	}
	return 48
}

// EachFamily runs a test over IPv4 and over IPv6, beside all others.
func EachFamily(t *testing.T, test func(t *testing.T, f Family)) {
	t.Parallel()
	for _, f := range []Family{IPv4, IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// Connect joins two hosts by a wire. On both of them the interface is called
// after the net; a is its host 1, and b its host 2.
func Connect(t testing.TB, net byte, a, b *Host) {
	t.Helper()
	name := fmt.Sprintf("net%d", net)
	const extraFile = "/proc/self/fd/3" // the first after the standard streams
	cmd := Command(t.Context(), t, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", extraFile)
	cmd.ExtraFiles = []*os.File{b.NS}
	if err := a.In(cmd.Run); err != nil {
		t.Fatalf("connecting %s and %s: %v", a.Name, b.Name, err)
	}
	Address(t, net, a, b)
}

// Address brings up an interface that each of two hosts has, called after the net that it leads
// to: a is its host 1, and b its host 2.
func Address(t testing.TB, net byte, a, b *Host) {
	t.Helper()
	for i, h := range []*Host{a, b} {
		h.Run(t, "ip", "link", "set", fmt.Sprintf("net%d", net), "up")
		for _, f := range []Family{IPv4, IPv6} {
			h.AddAddr(t, net, f.Addr(net, 0, byte(i+1)))
		}
	}
}

// AddAddr gives a host one more address on a wire.
func (h *Host) AddAddr(t testing.TB, net byte, a netip.Addr, options ...string) {
	t.Helper()
	h.Run(t, "ip", append([]string{
		"addr", "add", fmt.Sprintf("%v/%d", a, familyOf(a).WireLen()), "dev", fmt.Sprintf("net%d", net),
	}, options...)...)
}

// A Topology is the smallest network that a door makes sense in.
type Topology struct {
	Family         Family
	Server, Client *Host
	Addr           netip.Addr // the server's

	// The client's host has an address for each of these people.
	Source    netip.Addr // who knocks
	Neighbour netip.Addr // in the person's subnet
	Stranger  netip.Addr // in another subnet

	witnesses byte // see settle
}

// NewTopology connects a server and a client, and returns when they reach each other.
func NewTopology(t testing.TB, f Family) *Topology {
	t.Helper()
	server, client := NewHost(t, "server"), NewHost(t, "client")
	Connect(t, 1, server, client)
	return NewTopologyOver(t, f, 1, server, client)
}

// NewTopologyOver makes it of a server and a client that are host 1 and host 2 of a net.
func NewTopologyOver(t testing.TB, f Family, net byte, server, client *Host) *Topology {
	t.Helper()
	s := &Topology{
		Family:    f,
		Server:    server,
		Client:    client,
		Addr:      f.Addr(net, 0, 1),
		Source:    f.Addr(net, 0, 2),
		Neighbour: f.Addr(net, 0, 3),
		Stranger:  f.Addr(net, 7, 2),
	}
	// Programs that don't choose an address are the person.
	for _, other := range []netip.Addr{s.Neighbour, s.Stranger} {
		s.Client.AddAddr(t, net, other, "preferred_lft", "0")
	}

	// The wire works, and each side knows the other's link address: no
	// packet of the test has to wait for that.
	const closed = 9
	Eventually(t, "the server answers the client", func() bool {
		_, a, _ := s.Client.Dial(s.Source, netip.AddrPortFrom(s.Addr, closed), time.Second)
		return a == Refused
	})
	return s
}

// Route sends what is for a net through another host.
func (h *Host) Route(t testing.TB, net, via netip.Addr) {
	t.Helper()
	f := familyOf(net)
	h.Run(t, "ip", fmt.Sprintf("-%d", int(f)), "route", "add", fmt.Sprintf("%v/%d", net, f.WireLen()), "via", via.String())
}

// LinkLocal returns the host's link-local address on net1, which is its zone.
func (h *Host) LinkLocal(t *testing.T) netip.Addr {
	t.Helper()
	var found netip.Addr
	Eventually(t, h.Name+" has a link-local address", func() bool {
		out := h.Run(t, "ip", "-o", "-6", "addr", "show", "dev", "net1", "scope", "link", "-tentative")
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
