package integration

import (
	"context"
	"slices"
	"strings"
	"testing"
)

func TestClientWait(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, shut := range []answer{silent, refused} {
			t.Run(string(shut), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.listenTCP(t, 22)
				config := sshDoor
				if shut == refused {
					config += "shut = \"reject\"\n"
				}
				startDaemon(t, s.server, config)
				s.expectShut(t, s.person, "22", shut)
				s.client.run(t, nftknock, append([]string{"--wait", "22", s.addr.String()}, sshSequence...)...)
				s.expectOpen(t, s.person, "22")

				from := []string{"--source", s.neighbour.String(), "--wait", "22", s.addr.String()}
				r := s.client.try(t, nftknock, append(from, "7214", "8391", "8391")...)
				if want := "port 22 of " + s.addr.String() + " does not answer: "; r.exit() != 1 || !strings.Contains(r.stderr, want) {
					t.Errorf("a wrong sequence: exit %d\n%s", r.exit(), r.stderr)
				}
			})
		}
	})
}

// TestClientRetry has nobody at the port until somebody has knocked a second time. On a
// terminal, which script(1) makes, nftknock shows that it waits.
func TestClientRetry(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	c := s.server.capture(t, 1)
	knocked := func(times int) func() bool {
		return func() bool {
			all := strings.Join(c.knocks(t, s.addr), "\n")
			return strings.Count(all, arrival("tcp", s.addr, 6127, 0)) == times
		}
	}
	line := strings.Join(slices.Concat([]string{nftknock, "--wait", "22", "--retry", "1", s.addr.String()}, sshSequence), " ")
	p := s.client.startCmd(t, command(context.Background(), t, "script", "-qec", line, "/dev/null"))
	eventually(t, "it has knocked", knocked(1))
	eventually(t, "it has knocked again", knocked(2))
	s.server.listenTCP(t, 22)
	eventually(t, "it ends", p.ended)
	if !p.cmd.ProcessState.Success() {
		t.Errorf("nftknock has ended with %v", p.cmd.ProcessState)
	}
	if want := "waiting for port 22 of " + s.addr.String() + " ..."; !strings.Contains(p.out.String(), want) {
		t.Errorf("on a terminal it shows %q, want %q", p.out.String(), want)
	}
}
