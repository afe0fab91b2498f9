package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilled kills the daemon while somebody is in: nothing changes for
// anybody, until it is there again and carries on.
func TestKilled(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		d := startDaemon(t, s.server, sshDoor)
		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)

		d.stop(os.Kill)
		s.expectOpen(t, s.person, "22")
		s.expectShut(t, s.neighbour, "22", silent)
		s.knock(t, s.neighbour, sshSequence...) // to nobody

		then, before := time.Now(), s.waitIn(t, "ssh", s.person)
		startDaemon(t, s.server, sshDoor)
		after, in := s.entry(t, "ssh", s.person)
		gone := time.Since(then)
		if !in {
			t.Fatal("who was let in is out")
		}
		if after.expires > before.expires || after.expires < before.expires-gone-time.Second {
			t.Errorf("%v were left %v ago, and now %v", before.expires, gone, after.expires)
		}
		s.expectLogin(t, sshd, s.person, 22)
		s.expectOut(t, "ssh", s.neighbour)
		s.expectShut(t, s.neighbour, "22", silent)

		s.knock(t, s.neighbour, sshSequence...)
		s.expectOpen(t, s.neighbour, "22")
	})
}

// TestTimeRunsOutWithoutDaemon leaves it to the kernel to let somebody out.
func TestTimeRunsOutWithoutDaemon(t *testing.T) {
	const config = sshDoor + `
open_timeout = "2s"
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		d := startDaemon(t, s.server, config)
		s.knock(t, s.person, sshSequence...)
		expectLine(t, d, "granted", s.person.String())
		d.stop(os.Kill)
		s.waitOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
	})
}

// TestStopped stops the daemon in order, with either on_stop.
func TestStopped(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, onStop := range []string{"keep", "remove"} {
			t.Run(onStop, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.listenTCP(t, 22)
				d := startDaemon(t, s.server, "on_stop = \""+onStop+"\"\n"+sshDoor)
				s.knock(t, s.person, sshSequence...)
				s.waitIn(t, "ssh", s.person)

				d.stop(syscall.SIGTERM)
				if code := d.cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("exit status %d after SIGTERM", code)
				}
				if onStop == "keep" {
					s.expectOpen(t, s.person, "22")
					s.expectShut(t, s.neighbour, "22", silent)
					return
				}
				if strings.Contains(s.server.listRuleset(t), gateTable) {
					t.Errorf("the table is still there")
				}
				s.expectOpen(t, s.neighbour, "22")
			})
		}
	})
}
