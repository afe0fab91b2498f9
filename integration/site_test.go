package integration

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"
)

// A family is a version of IP.
type family int

const (
	ipv4 family = 4
	ipv6 family = 6
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

func (f family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// addr returns an address: 10.NET.SUB.HOST or fd00:NET:0:SUB::HOST. All of a
// net is one wire, a subnet is the 24 or 64 bits that ipv4_prefix and
// ipv6_prefix are about.
func (f family) addr(net, sub, host byte) netip.Addr {
	if f == ipv4 {
		return netip.AddrFrom4([4]byte{10, net, sub, host})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: net, 7: sub, 15: host})
}

// wire is the prefix length that all of a net is behind.
func (f family) wire() int {
	if f == ipv4 {
		return 16
	}
	return 48
}

// eachFamily runs a test over IPv4 and over IPv6, beside all others.
func eachFamily(t *testing.T, test func(t *testing.T, f family)) {
	t.Parallel()
	for _, f := range []family{ipv4, ipv6} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

// connect joins two hosts by a wire. On both of them the interface is called
// after the net; a is its host 1, and b its host 2.
func connect(t testing.TB, net byte, a, b *host) {
	t.Helper()
	name := fmt.Sprintf("net%d", net)
	const extraFile = "/proc/self/fd/3" // the first after the standard streams
	cmd := command(t.Context(), t, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", extraFile)
	cmd.ExtraFiles = []*os.File{b.ns}
	if err := a.in(cmd.Run); err != nil {
		t.Fatalf("connecting %s and %s: %v", a.name, b.name, err)
	}
	for i, h := range []*host{a, b} {
		h.run(t, "ip", "link", "set", name, "up")
		for _, f := range []family{ipv4, ipv6} {
			h.addAddr(t, net, f.addr(net, 0, byte(i+1)))
		}
	}
}

// addAddr gives a host one more address on a wire.
func (h *host) addAddr(t testing.TB, net byte, a netip.Addr, options ...string) {
	t.Helper()
	h.run(t, "ip", append([]string{
		"addr", "add", fmt.Sprintf("%v/%d", a, familyOf(a).wire()), "dev", fmt.Sprintf("net%d", net),
	}, options...)...)
}

// A site is the smallest network that a door makes sense in.
type site struct {
	family         family
	server, client *host
	addr           netip.Addr // the server's

	// The client's host has an address for each of these people.
	person    netip.Addr // who knocks
	neighbour netip.Addr // in the person's subnet
	stranger  netip.Addr // in another subnet

	witnesses byte // see settle
}

func newSite(t testing.TB, f family) *site {
	t.Helper()
	s := &site{
		family:    f,
		server:    newHost(t, "server"),
		client:    newHost(t, "client"),
		addr:      f.addr(1, 0, 1),
		person:    f.addr(1, 0, 2),
		neighbour: f.addr(1, 0, 3),
		stranger:  f.addr(1, 7, 2),
	}
	connect(t, 1, s.server, s.client)
	// Programs that don't choose an address are the person.
	for _, other := range []netip.Addr{s.neighbour, s.stranger} {
		s.client.addAddr(t, 1, other, "preferred_lft", "0")
	}

	// The wire works, and each side knows the other's link address: no
	// packet of the test has to wait for that.
	const closed = 9
	eventually(t, "the server answers the client", func() bool {
		_, a, _ := s.client.dial(s.person, netip.AddrPortFrom(s.addr, closed), time.Second)
		return a == refused
	})
	return s
}

// route sends what is for a net through another host.
func (h *host) route(t testing.TB, net, via netip.Addr) {
	t.Helper()
	f := familyOf(net)
	h.run(t, "ip", fmt.Sprintf("-%d", int(f)), "route", "add", fmt.Sprintf("%v/%d", net, f.wire()), "via", via.String())
}
