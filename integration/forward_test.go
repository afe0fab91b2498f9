package integration

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestPublishedPort guards a port that the server forwards to another
// namespace, as container engines publish the ports of their containers. What
// only passes through the server is none of the gate's business.
//
//	client --net1-- server --net2-- container
func TestPublishedPort(t *testing.T) {
	const config = `
[door.container]
ports    = [22, 2222]
sequence = [7214, 8391, 6127]
`
	const publish = `
table inet container_engine {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		fib daddr type local meta nfproto ipv4 tcp dport 2222 dnat ip to 10.2.0.2:22
		fib daddr type local meta nfproto ipv6 tcp dport 2222 dnat ip6 to [fd00:2::2]:22
	}
}
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		container := newHost(t, "container")
		connect(t, 2, s.server, container)
		s.server.sysctl(t, "net/ipv4/ip_forward", "1")
		s.server.sysctl(t, "net/ipv6/conf/all/forwarding", "1")
		container.route(t, f.addr(1, 0, 0), f.addr(2, 0, 1))
		s.client.route(t, f.addr(2, 0, 0), f.addr(1, 0, 1))
		s.server.runWith(t, publish, "nft", "-f", "-")

		sshd := startSSHD(t, container, 22)
		startSSHD(t, s.client, 22)
		s.expectOpen(t, s.person, "2222")

		startDaemon(t, s.server, config)
		s.expectShut(t, s.person, "2222", silent)

		// Through the server, in and out.
		inside, outside := f.addr(2, 0, 2), s.person
		expectPassage(t, s.client, outside, inside)
		expectPassage(t, container, inside, outside)

		s.knock(t, s.person, sshSequence...)
		s.expectOpen(t, s.person, "2222")
		out := s.client.run(t, "ssh", sshd.ssh(s.person, netip.AddrPortFrom(s.addr, 2222), "echo $SSH_CONNECTION")...)
		if !strings.HasPrefix(out, s.person.String()+" ") {
			t.Errorf("logged in from %v, the container says: %q", s.person, out)
		}
		s.expectShut(t, s.neighbour, "2222", silent)
	})
}

// expectPassage makes sure that one host reaches the sshd of another.
func expectPassage(t *testing.T, h *host, from, to netip.Addr) {
	t.Helper()
	c, a, err := h.dial(from, netip.AddrPortFrom(to, 22), aWhile)
	if a != open {
		t.Fatalf("%s: port 22 of %v, which is not the server's, is %s: %v", h.name, to, a, err)
	}
	defer c.Close()
	banner := make([]byte, len("SSH-2.0-"))
	c.SetReadDeadline(time.Now().Add(aWhile))
	if _, err := c.Read(banner); err != nil || string(banner) != "SSH-2.0-" {
		t.Fatalf("%s: %v says %q: %v", h.name, to, banner, err)
	}
}
