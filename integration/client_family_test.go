package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClientFamilies knocks at a name that has an address of each family.
func TestClientFamilies(t *testing.T) {
	t.Parallel()
	const both, only4, only6 = 0, ipv4, ipv6
	tests := []struct {
		name  string
		flags []string
		want  family // whose addresses are let in
	}{
		{"both", nil, both},
		{"-4", []string{"-4"}, only4},
		{"-6", []string{"-6"}, only6},
		{"from an address", []string{"--source", ipv6.addr(1, 0, 2).String()}, only6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ipv4)
			startDaemon(t, s.server, sshDoor)
			run := slices.Concat(s.resolving(t, "gate.test"), []string{nftknock, "-v"}, tt.flags, []string{"gate.test"}, sshSequence)
			out := s.client.run(t, run[0], run[1:]...)
			var want strings.Builder
			for _, k := range sshSequence {
				for _, f := range []family{ipv4, ipv6} { // RFC 6724: local addresses of IPv6 come last
					if tt.want == both || tt.want == f {
						want.WriteString("hitting tcp " + f.addr(1, 0, 1).String() + ":" + k + "\n")
					}
				}
			}
			if diff := cmp.Diff(want.String(), out); diff != "" {
				t.Error(diff)
			}
			for _, f := range []family{ipv4, ipv6} {
				s.family = f
				if tt.want == both || tt.want == f {
					s.waitIn(t, "ssh", f.addr(1, 0, 2))
				} else {
					s.expectOut(t, "ssh", f.addr(1, 0, 2))
				}
			}
		})
	}
}

// TestClientWithoutIPv6 knocks at such a name from a machine that has no way to one of
// the addresses, which is no mistake unless that is the one asked for.
func TestClientWithoutIPv6(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	startDaemon(t, s.server, sshDoor)
	s.client.run(t, "ip", "-6", "addr", "flush", "dev", "net1")
	here := s.resolving(t, "gate.test")
	knock := append([]string{nftknock, "gate.test"}, sshSequence...)
	s.client.run(t, here[0], slices.Concat(here[1:], knock)...)
	s.waitIn(t, "ssh", s.person)

	r := s.client.try(t, here[0], slices.Concat(here[1:], knock, []string{"-6"})...)
	if want := "fd00:1::1 cannot be reached: connect: network is unreachable"; r.exit() != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("-6 without IPv6: exit %d\n%s", r.exit(), r.stderr)
	}
}
