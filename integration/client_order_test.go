package integration

import (
	"slices"
	"testing"
	"time"
)

// TestClientOrder knocks through a network in which each second packet takes 30 ms
// longer: without a delay the knocks change their order, with the one that nftknock has
// unless it is told otherwise they don't.
func TestClientOrder(t *testing.T) {
	t.Parallel()
	s := &site{
		family: ipv4, server: newHost(t, "server"), client: newHost(t, "client"),
		addr: ipv4.addr(1, 0, 1), person: ipv4.addr(1, 0, 2),
	}
	connectReordering(t, 1, s.server, s.client, 30*time.Millisecond)
	eventually(t, "the server answers the client", func() bool {
		a, _ := s.try(t, s.person, "9:udp", time.Second)
		return a == refused
	})
	startDaemon(t, s.server, sshDoor)
	c := s.server.capture(t, 1)
	// knock returns the order in which the server gets the knocks.
	knock := func(args ...string) []string {
		before := len(c.knocks(t, s.addr))
		s.client.run(t, nftknock, slices.Concat(args, []string{s.addr.String()}, sshSequence)...)
		eventually(t, "three knocks arrive", func() bool { return len(c.knocks(t, s.addr)) == before+3 })
		return c.knocks(t, s.addr)[before:]
	}
	inOrder := []string{arrival("tcp", s.addr, 7214, 0), arrival("tcp", s.addr, 8391, 0), arrival("tcp", s.addr, 6127, 0)}

	// A machine that is busy may take its time between two knocks.
	eventually(t, "knocks without a delay change their order", func() bool { return !slices.Equal(knock("-d", "0"), inOrder) })
	if got := knock(); !slices.Equal(got, inOrder) {
		t.Errorf("the knocks have changed their order: %q", got)
	}
	s.waitIn(t, "ssh", s.person)
}
