package functional

import (
	"net/netip"
	"testing"

	"nftknock/integration/lab"
)

// TestSegmentsThatAreNoSYN sends what somebody connected would send, and then
// asks for a connection from the same source port. The gate lets those pass
// whose connection is up, and must not take this for one.
func TestSegmentsThatAreNoSYN(t *testing.T) {
	lures := [][]byte{
		{lab.FlagACK},
		{lab.FlagACK, lab.FlagACK, lab.FlagACK},
		{lab.FlagFIN | lab.FlagACK, lab.FlagACK},
		{lab.FlagSYN | lab.FlagACK},
		{lab.FlagSYN | lab.FlagACK, lab.FlagACK},
		{lab.FlagRST, lab.FlagACK},
		{lab.FlagFIN},
		{0},
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		lab.StartDaemon(t, s.Server, lab.SSHDoor)
		to := netip.AddrPortFrom(s.Addr, 22)
		for i, flags := range lures {
			from := netip.AddrPortFrom(s.Source, uint16(41000+i))
			var segments []lab.Packet
			for n, f := range flags {
				segments = append(segments, lab.TCP(from, to, uint32(1000+n), f))
			}
			s.Client.Send(t, segments...)
			if c, a, err := s.Client.DialFrom(from, to, lab.BriefTimeout); a != lab.Silent {
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
	s := lab.NewTopology(t, lab.IPv6)
	s.Server.ListenTCP(t, 22)
	s.Addr, s.Source = s.Server.LinkLocal(t), s.Client.LinkLocal(t)
	lab.StartDaemon(t, s.Server, lab.SSHDoor)
	s.ExpectShut(t, s.Source, "22", lab.Silent)

	s.RunKnock(t, "50", lab.SSHSequence...)
	s.ExpectOpen(t, s.Source, "22")
}
