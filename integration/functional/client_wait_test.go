package functional

import (
	"context"
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

func TestClientWait(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, shut := range []lab.Answer{lab.Silent, lab.Refused} {
			t.Run(string(shut), func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				config := lab.SSHDoor
				if shut == lab.Refused {
					config += "shut = \"reject\"\n"
				}
				lab.StartDaemon(t, s.Server, config)
				s.ExpectShut(t, s.Source, "22", shut)
				s.Client.Run(t, lab.Nftknock, append([]string{"--wait", "22", s.Addr.String()}, lab.SSHSequence...)...)
				s.ExpectOpen(t, s.Source, "22")

				from := []string{"--source", s.Neighbour.String(), "--wait", "22", s.Addr.String()}
				r := s.Client.Try(t, lab.Nftknock, append(from, "7214", "8391", "8391")...)
				if want := "port 22 of " + s.Addr.String() + " does not answer: "; r.Exit() != 1 || !strings.Contains(r.Stderr, want) {
					t.Errorf("a wrong sequence: exit %d\n%s", r.Exit(), r.Stderr)
				}
			})
		}
	})
}

// TestClientRetry has nobody at the port until somebody has knocked a second time. On a
// terminal, which script(1) makes, nftknock shows that it waits.
func TestClientRetry(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	c := s.Server.Capture(t, 1)
	knocked := func(times int) func() bool {
		return func() bool {
			all := strings.Join(c.Knocks(t, s.Addr), "\n")
			return strings.Count(all, lab.Arrival("tcp", s.Addr, 6127, 0)) == times
		}
	}
	line := strings.Join(slices.Concat([]string{lab.Nftknock, "--wait", "22", "--retry", "1", s.Addr.String()}, lab.SSHSequence), " ")
	p := s.Client.StartCmd(t, lab.Command(context.Background(), t, "script", "-qec", line, "/dev/null"))
	lab.Eventually(t, "it has knocked", knocked(1))
	lab.Eventually(t, "it has knocked again", knocked(2))
	s.Server.ListenTCP(t, 22)
	lab.Eventually(t, "it ends", p.Ended)
	if !p.Cmd.ProcessState.Success() {
		t.Errorf("nftknock has ended with %v", p.Cmd.ProcessState)
	}
	if want := "waiting for port 22 of " + s.Addr.String() + " ..."; !strings.Contains(p.Out.String(), want) {
		t.Errorf("on a terminal it shows %q, want %q", p.Out.String(), want)
	}
}
