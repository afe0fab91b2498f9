package functional

import (
	"fmt"
	"net/netip"
	"testing"

	"nftknock/integration/lab"
)

// TestTunnelOfAnotherDoor sends SYNs in a tunnel, whose port another door guards and lets in to: what comes
// out of a packet that was admitted has not been, whole or in fragments.
func TestTunnelOfAnotherDoor(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, lab.IPv4)
		s.Server.ServeBanner(t, 22)
		const tunnel = 9
		connectVXLAN(t, tunnel, s)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoor+`
[door.tunnel]
ports    = ["4789:udp"]
sequence = [7301, 8302, 6303]
`)
		d.Tell(t, "open", "tunnel", s.Source.String())
		inner, server := f.Addr(tunnel, 0, 2), f.Addr(tunnel, 0, 1)
		l := lab.OpenLink(t, s.Client, s.Server, tunnel)
		l.Answers(t, inner, server) // the tunnel is one

		for n, size := range []int{1 << 10, 8, 16, 24} {
			syn := lab.Segment{
				From: netip.AddrPortFrom(inner, uint16(41000+n)), To: netip.AddrPortFrom(server, 22),
				Seq: 1000, Flags: lab.FlagSYN, Options: lab.OptionsOrdinary,
			}
			packet := syn.Datagram()
			packet.ID = uint16(1 + n)
			l.Send(t, packet.Cut(size)...)
		}
		for _, a := range l.Answers(t, inner, server) {
			if a.IsTCP() {
				t.Errorf("port %d answers port %d with flags %#02x", a.Source(), a.Target(), a.Flags())
			}
		}
	})
}

// connectVXLAN makes a tunnel between the hosts of a topology, as Connect makes a wire.
func connectVXLAN(t *testing.T, net byte, s *lab.Topology) {
	t.Helper()
	add := func(h *lab.Host, local, remote netip.Addr) {
		t.Helper()
		makeDevice(t, h, fmt.Sprintf("ip link add net%d type vxlan id 7 dev net1 dstport 4789 local %v remote %v", net, local, remote))
	}
	add(s.Server, s.Addr, s.Source)
	add(s.Client, s.Source, s.Addr)
	lab.Address(t, net, s.Server, s.Client)
}
