package integration

import (
	"net/netip"
	"testing"
)

// TestSegmentsThatAreNoSYN sends what somebody connected would send, and then
// asks for a connection from the same source port. The gate lets those pass
// whose connection is up, and must not take this for one.
func TestSegmentsThatAreNoSYN(t *testing.T) {
	lures := [][]byte{
		{FlagACK},
		{FlagACK, FlagACK, FlagACK},
		{FlagFIN | FlagACK, FlagACK},
		{FlagSYN | FlagACK},
		{FlagSYN | FlagACK, FlagACK},
		{FlagRST, FlagACK},
		{FlagFIN},
		{0},
	}
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		StartDaemon(t, s.Server, SSHDoor)
		to := netip.AddrPortFrom(s.Addr, 22)
		for i, flags := range lures {
			from := netip.AddrPortFrom(s.Person, uint16(41000+i))
			var segments []Packet
			for n, f := range flags {
				segments = append(segments, TCP(from, to, uint32(1000+n), f))
			}
			s.Client.Send(t, segments...)
			if c, a, err := s.Client.DialFrom(from, to, BriefTimeout); a != Silent {
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
	s := NewTopology(t, IPv6)
	s.Server.ListenTCP(t, 22)
	s.Addr, s.Person = s.Server.LinkLocal(t), s.Client.LinkLocal(t)
	StartDaemon(t, s.Server, SSHDoor)
	s.ExpectShut(t, s.Person, "22", Silent)

	s.Client.Run(t, "knock", append([]string{"-d", "50", s.Addr.String()}, SSHSequence...)...)
	s.ExpectOpen(t, s.Person, "22")
}
