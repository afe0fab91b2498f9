package functional

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/integration/lab"
)

// TestClientFamilies knocks at a name that has an address of each family.
func TestClientFamilies(t *testing.T) {
	t.Parallel()
	const both, only4, only6 = 0, lab.IPv4, lab.IPv6
	tests := []struct {
		name  string
		flags []string
		want  lab.Family // whose addresses are let in
	}{
		{"both", nil, both},
		{"-4", []string{"-4"}, only4},
		{"-6", []string{"-6"}, only6},
		{"from an address", []string{"--source", lab.IPv6.Addr(1, 0, 2).String()}, only6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lab.NewTopology(t, lab.IPv4)
			lab.StartDaemon(t, s.Server, lab.SSHDoor)
			run := slices.Concat(resolving(t, "gate.test"), []string{lab.Nftknock, "-v"}, tt.flags, []string{"gate.test"}, lab.SSHSequence)
			out := s.Client.Run(t, run[0], run[1:]...)
			var want strings.Builder
			for _, k := range lab.SSHSequence {
				for _, f := range []lab.Family{lab.IPv4, lab.IPv6} { // RFC 6724: local addresses of IPv6 come last
					if tt.want == both || tt.want == f {
						want.WriteString("hitting tcp " + f.Addr(1, 0, 1).String() + ":" + k + "\n")
					}
				}
			}
			if diff := cmp.Diff(want.String(), out); diff != "" {
				t.Error(diff)
			}
			for _, f := range []lab.Family{lab.IPv4, lab.IPv6} {
				s.Family = f
				if tt.want == both || tt.want == f {
					s.WaitIn(t, "ssh", f.Addr(1, 0, 2))
				} else {
					s.ExpectOut(t, "ssh", f.Addr(1, 0, 2))
				}
			}
		})
	}
}

// TestClientWithoutIPv6 knocks at such a name from a machine that has no way to one of
// the addresses, which is no mistake unless that is the one asked for.
func TestClientWithoutIPv6(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	lab.StartDaemon(t, s.Server, lab.SSHDoor)
	s.Client.Run(t, "ip", "-6", "addr", "flush", "dev", "net1")
	here := resolving(t, "gate.test")
	knock := append([]string{lab.Nftknock, "gate.test"}, lab.SSHSequence...)
	s.Client.Run(t, here[0], slices.Concat(here[1:], knock)...)
	s.WaitIn(t, "ssh", s.Source)

	r := s.Client.Try(t, here[0], slices.Concat(here[1:], knock, []string{"-6"})...)
	if want := "fd00:1::1 cannot be reached: connect: network is unreachable"; r.Exit() != 1 || !strings.Contains(r.Stderr, want) {
		t.Errorf("-6 without IPv6: exit %d\n%s", r.Exit(), r.Stderr)
	}
}
