package functional

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
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
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		container := lab.NewHost(t, "container")
		lab.Connect(t, 2, s.Server, container)
		s.Server.Sysctl(t, "net/ipv4/ip_forward", "1")
		s.Server.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
		container.Route(t, f.Addr(1, 0, 0), f.Addr(2, 0, 1))
		s.Client.Route(t, f.Addr(2, 0, 0), f.Addr(1, 0, 1))
		s.Server.RunWith(t, publish, "nft", "-f", "-")

		sshd := lab.StartSSHD(t, container, 22)
		lab.StartSSHD(t, s.Client, 22)
		s.ExpectOpen(t, s.Source, "2222")

		lab.StartDaemon(t, s.Server, config)
		s.ExpectShut(t, s.Source, "2222", lab.Silent)

		// Through the server, in and out.
		inside, outside := f.Addr(2, 0, 2), s.Source
		expectPassage(t, s.Client, outside, inside)
		expectPassage(t, container, inside, outside)

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.ExpectOpen(t, s.Source, "2222")
		out := s.Client.Run(t, "ssh", sshd.SSH(s.Source, netip.AddrPortFrom(s.Addr, 2222), "echo $SSH_CONNECTION")...)
		if !strings.HasPrefix(out, s.Source.String()+" ") {
			t.Errorf("logged in from %v, the container says: %q", s.Source, out)
		}
		s.ExpectShut(t, s.Neighbour, "2222", lab.Silent)
	})
}

// expectPassage makes sure that one host reaches the sshd of another.
func expectPassage(t *testing.T, h *lab.Host, from, to netip.Addr) {
	t.Helper()
	c, a, err := h.Dial(from, netip.AddrPortFrom(to, 22), lab.Timeout)
	if a != lab.Open {
		t.Fatalf("%s: port 22 of %v, which is not the server's, is %s: %v", h.Name, to, a, err)
	}
	defer c.Close()
	banner := make([]byte, len("SSH-2.0-"))
	c.SetReadDeadline(time.Now().Add(lab.Timeout))
	if _, err := c.Read(banner); err != nil || string(banner) != "SSH-2.0-" {
		t.Fatalf("%s: %v says %q: %v", h.Name, to, banner, err)
	}
}
