package functional

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// wireDoor guards a port of UDP, as WireGuard's would be.
const wireDoor = lab.NoDecoys + `
[door.wire]
ports        = ["51820:udp"]
sequence     = [7214, 8391, 6127]
open_timeout = "2s"
`

// TestUDPFlowByOwnAddress has a stranger send a datagram whose source is the server's own
// address and port: what forwards it takes it for the beginning of a flow, and the
// stranger's datagrams for the answer.
func TestUDPFlowByOwnAddress(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.EchoUDP(t, 51820)
		s.Server.Sysctl(t, "net/ipv4/ip_forward", "1")
		s.Server.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
		lab.StartDaemon(t, s.Server, wireDoor)
		s.ExpectShut(t, s.Source, "51820:udp", lab.Silent)

		l := lab.OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, f.Addr(1, 20, 1))
		ours := netip.AddrPortFrom(s.Addr, 51820)
		for port := range uint16(10) {
			theirs := netip.AddrPortFrom(who, 40000+port)
			l.Send(t, lab.UDPDatagram(ours, theirs, []byte("from the server?")), lab.UDPDatagram(theirs, ours, []byte("hello")))
		}
		answered := 0
		for {
			_, ok := l.Receive(t, soonEnough, func(a lab.Received) bool {
				return a.Proto == unix.IPPROTO_UDP && a.To == who && a.From == s.Addr && string(a.Payload[8:]) == "hello"
			})
			if !ok {
				break
			}
			answered++
		}
		if answered > 0 {
			t.Errorf("%d of 10 datagrams were answered", answered)
		}
	})
}

// TestUDPNoAnswerToAnyShape sends a shut port of UDP datagrams of every shape.
func TestUDPNoAnswerToAnyShape(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.EchoUDP(t, 51820)
		s.Server.EchoUDP(t, 51900)
		neverTired(t, s)
		lab.StartDaemon(t, s.Server, wireDoor)
		s.ExpectShut(t, s.Source, "51820:udp", lab.Silent)

		l := lab.OpenLink(t, s.Client, s.Server, 1)
		shapes := shapesOfUDP()
		expectAnswers := func(who netip.Addr, port uint16, some bool) {
			answered := provoke(t, s, l, l.Phantom(t, who), port, shapes)
			if some != (len(answered) > 0) {
				t.Errorf("port %d answers %d of %d shapes", port, len(answered), len(shapes))
			}
			for _, from := range firstOf(answered) {
				if !some {
					t.Errorf("%s: answered by %x", nameOf(shapes, from), answered[from][0].Raw)
				}
			}
		}
		expectAnswers(f.Addr(1, 20, 1), 51900, true)
		expectAnswers(f.Addr(1, 20, 2), 51901, true)
		expectAnswers(f.Addr(1, 20, 3), 51820, false)
	})
}
