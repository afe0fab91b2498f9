package functional

import (
	"slices"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestClientOrder knocks through a network in which each second packet takes 30 ms
// longer: without a delay the knocks change their order, with the one that nftknock has
// unless it is told otherwise they don't.
func TestClientOrder(t *testing.T) {
	t.Parallel()
	s := &lab.Topology{
		Family: lab.IPv4, Server: lab.NewHost(t, "server"), Client: lab.NewHost(t, "client"),
		Addr: lab.IPv4.Addr(1, 0, 1), Source: lab.IPv4.Addr(1, 0, 2),
	}
	lab.ConnectReordering(t, 1, s.Server, s.Client, 30*time.Millisecond)
	lab.Eventually(t, "the server answers the client", func() bool {
		a, _ := s.Try(t, s.Source, "9:udp", time.Second)
		return a == lab.Refused
	})
	lab.StartDaemon(t, s.Server, lab.SSHDoor)
	c := s.Server.Capture(t, 1)
	// knock returns the order in which the server gets the knocks.
	knock := func(args ...string) []string {
		before := len(c.Knocks(t, s.Addr))
		s.Client.Run(t, lab.Nftknock, slices.Concat(args, []string{s.Addr.String()}, lab.SSHSequence)...)
		lab.Eventually(t, "three knocks arrive", func() bool { return len(c.Knocks(t, s.Addr)) == before+3 })
		return c.Knocks(t, s.Addr)[before:]
	}
	inOrder := []string{lab.Arrival("tcp", s.Addr, 7214, 0), lab.Arrival("tcp", s.Addr, 8391, 0), lab.Arrival("tcp", s.Addr, 6127, 0)}

	// A machine that is busy may take its time between two knocks.
	lab.Eventually(t, "knocks without a delay change their order", func() bool { return !slices.Equal(knock("-d", "0"), inOrder) })
	if got := knock(); !slices.Equal(got, inOrder) {
		t.Errorf("the knocks have changed their order: %q", got)
	}
	s.WaitIn(t, "ssh", s.Source)
}
