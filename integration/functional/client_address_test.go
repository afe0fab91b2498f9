package functional

import (
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestClientZone knocks at a link-local address, in brackets and without, and from one.
func TestClientZone(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv6)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	server, client := s.Server.LinkLocal(t), s.Client.LinkLocal(t)
	for _, args := range [][]string{
		{server.String()},
		{"[" + server.String() + "]"},
		{"--source", client.WithZone("").String(), server.String()},
	} {
		s.Client.Run(t, lab.Nftknock, slices.Concat([]string{"--wait", "22"}, args, lab.SSHSequence)...)
		s.WaitIn(t, "ssh", client.WithZone(""))
		d.Tell(t, "close", "ssh", "--all")
		s.WaitOut(t, "ssh", client.WithZone(""))
	}
	s.Client.Run(t, lab.Nftknock, slices.Concat([]string{"--wait", "22", "[" + s.Addr.String() + "]"}, lab.SSHSequence)...)
	s.WaitIn(t, "ssh", s.Source)
}

// TestClientManyAddresses knocks at a name of many machines, most of which are not there: they
// are tried in order, and not for ever.
func TestClientManyAddresses(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	lab.StartDaemon(t, s.Server, lab.SSHDoor)
	c := s.Server.Capture(t, 1)
	const silent, server = 9, 1
	s.Server.Run(t, "ip", "addr", "add", lab.IPv4.Addr(1, 0, silent).String()+"/16", "dev", "net1")
	s.Server.Run(t, "nft", "add table inet silent; add chain inet silent input { type filter hook input priority -300; }; "+
		"add rule inet silent input ip daddr "+lab.IPv4.Addr(1, 0, silent).String()+" drop")
	here := resolvingTo(t, "gate.test", lab.IPv4.Addr(1, 0, silent), lab.IPv4.Addr(1, 0, server))
	run := slices.Concat(here, []string{lab.Nftknock, "-v", "--wait", "22", "gate.test"}, lab.SSHSequence)
	out := s.Client.Run(t, run[0], run[1:]...)
	s.WaitIn(t, "ssh", s.Source)
	if len(c.Knocks(t, lab.IPv4.Addr(1, 0, silent))) == 0 {
		t.Error("nobody has knocked at the first address")
	}
	if want := "port 22 of gate.test does not answer"; !strings.Contains(out, want) {
		t.Errorf("it does not say %q:\n%s", want, out)
	}
}
