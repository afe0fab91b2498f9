package functional

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

const together = 8

// longer is for a machine on which eight programs take longer than open_timeout.
const longer = "open_timeout = \"10m\"\n"

// home is a profile of the server.
func home(s *lab.Topology) string {
	return fmt.Sprintf("[host.home]\nhost = \"%v\"\nwait = 22\nsequence = [7214, 8391, 6127]\nclose_sequence = [6127, 8391, 7214]\n", s.Addr)
}

// rounds counts how often the last knock of a sequence has arrived.
func rounds(t *testing.T, s *lab.Topology, c *lab.Capture) int {
	return strings.Count(strings.Join(c.Knocks(t, s.Addr), "\n"), lab.Arrival("tcp", s.Addr, 6127, 0))
}

// startTogether starts a program for each of the users, and expects that all get what they want.
func startTogether(t *testing.T, s *lab.Topology, users []*user, name string, args ...string) {
	t.Helper()
	processes := make([]*lab.Process, len(users))
	for i, u := range users {
		processes[i] = s.Client.Start(t, u.env[0], u.with(name, args...)...)
	}
	for i, p := range processes {
		select {
		case <-p.Done:
			if !p.Cmd.ProcessState.Success() {
				t.Errorf("the program of user %d has ended with %v", i, p.Cmd.ProcessState)
			}
		case <-time.After(2 * lab.Timeout):
			t.Fatalf("the program of user %d has not ended", i)
		}
	}
}

// TestClientTurns has programs of one user knock at once: they take turns, and find the door open
// when somebody before them has knocked.
func TestClientTurns(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	sshd := lab.StartSSHD(t, s.Server, 22)
	lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses+longer)
	u := newUser(t, s.Client, home(s))
	users := slices.Repeat([]*user{u}, together)
	c := s.Server.Capture(t, 1)
	ssh := sshConfig(t, sshd, "Host home\n ProxyCommand "+lab.Nftknock+" proxy --fdpass home\n ProxyUseFdpass yes\n")
	before := 0
	for _, run := range [][]string{
		{lab.Nftknock, "home"},
		{"ssh", "-F", ssh, "home", "true"},
	} {
		startTogether(t, s, users, run[0], run[1:]...)
		all := rounds(t, s, c)
		if got := all - before; got != 1 {
			t.Errorf("%d of %s at once have knocked %d times", together, run[0], got)
		}
		before = all + 1
		s.WaitIn(t, "ssh", s.Source)
		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Source)
	}
}

// TestClientTurnEnds kills the program whose turn it is: the next one knocks at once.
func TestClientTurnEnds(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	u := newUser(t, s.Client, home(s))
	c := s.Server.Capture(t, 1)
	first := s.Client.Start(t, u.env[0], u.with(lab.Nftknock, "--retry", "9", "home")...)
	lab.Eventually(t, "the first has knocked", func() bool { return rounds(t, s, c) == 1 })
	second := s.Client.StartCmd(t, lab.Command(context.Background(), t, u.env[0], u.with(lab.Nftknock, "-v", "--retry", "9", "home")...))
	lab.Eventually(t, "the second waits", func() bool {
		return strings.Contains(second.Out.String(), "waiting for another nftknock, which knocks at "+s.Addr.String())
	})
	first.Stop(os.Kill)
	lab.Eventually(t, "the second has knocked", func() bool { return rounds(t, s, c) == 2 })
	s.Server.ListenTCP(t, 22)
	lab.Eventually(t, "the second ends", second.Ended)
}

// TestClientsOfManyUsers has users of one machine, who know nothing of each other, knock at
// once: the gate tells them apart.
func TestClientsOfManyUsers(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	sshd := lab.StartSSHD(t, s.Server, 22)
	lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses+longer)
	var users []*user
	for range together {
		users = append(users, newUser(t, s.Client, home(s)))
	}
	ssh := sshConfig(t, sshd, "Host home\n ProxyCommand "+lab.Nftknock+" proxy home\n")
	for range 2 {
		for _, run := range [][]string{
			{lab.Nftknock, "home"},
			{"ssh", "-F", ssh, "home", "true"},
		} {
			startTogether(t, s, users, run[0], run[1:]...)
			s.WaitIn(t, "ssh", s.Source)
			s.Knock(t, s.Source, lab.SSHCloseSequence...)
			s.WaitOut(t, "ssh", s.Source)
		}
	}
}
