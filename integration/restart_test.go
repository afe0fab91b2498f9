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
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		sshd := StartSSHD(t, s.Server, 22)
		d := StartDaemon(t, s.Server, SSHDoor)
		s.Knock(t, s.Person, SSHSequence...)
		s.WaitIn(t, "ssh", s.Person)

		d.Stop(os.Kill)
		s.ExpectOpen(t, s.Person, "22")
		s.ExpectShut(t, s.Neighbour, "22", Silent)
		s.Knock(t, s.Neighbour, SSHSequence...) // to nobody

		then, before := time.Now(), s.WaitIn(t, "ssh", s.Person)
		StartDaemon(t, s.Server, SSHDoor)
		after, in := s.Entry(t, "ssh", s.Person)
		gone := time.Since(then)
		if !in {
			t.Fatal("who was let in is out")
		}
		if after.Expires > before.Expires || after.Expires < before.Expires-gone-time.Second {
			t.Errorf("%v were left %v ago, and now %v", before.Expires, gone, after.Expires)
		}
		s.ExpectLogin(t, sshd, s.Person, 22)
		s.ExpectOut(t, "ssh", s.Neighbour)
		s.ExpectShut(t, s.Neighbour, "22", Silent)

		s.Knock(t, s.Neighbour, SSHSequence...)
		s.ExpectOpen(t, s.Neighbour, "22")
	})
}

// TestTimeRunsOutWithoutDaemon leaves it to the kernel to let somebody out.
func TestTimeRunsOutWithoutDaemon(t *testing.T) {
	const config = SSHDoor + `
open_timeout = "2s"
`
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := StartDaemon(t, s.Server, config)
		s.Knock(t, s.Person, SSHSequence...)
		ExpectLine(t, d, "let in", s.Person.String())
		d.Stop(os.Kill)
		s.WaitOut(t, "ssh", s.Person)
		s.ExpectShut(t, s.Person, "22", Silent)
	})
}

// TestStopped stops the daemon in order, with either on_stop.
func TestStopped(t *testing.T) {
	EachFamily(t, func(t *testing.T, f Family) {
		for _, onStop := range []string{"keep", "remove"} {
			t.Run(onStop, func(t *testing.T) {
				t.Parallel()
				s := NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				d := StartDaemon(t, s.Server, "on_stop = \""+onStop+"\"\n"+SSHDoor)
				s.Knock(t, s.Person, SSHSequence...)
				s.WaitIn(t, "ssh", s.Person)

				d.Stop(syscall.SIGTERM)
				if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("exit status %d after SIGTERM", code)
				}
				if onStop == "keep" {
					s.ExpectOpen(t, s.Person, "22")
					s.ExpectShut(t, s.Neighbour, "22", Silent)
					return
				}
				if strings.Contains(s.Server.Ruleset(t), GateTable) {
					t.Errorf("the table is still there")
				}
				s.ExpectOpen(t, s.Neighbour, "22")
			})
		}
	})
}
