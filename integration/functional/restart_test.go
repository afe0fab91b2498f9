package functional

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestKilled kills the daemon while somebody is in: nothing changes for
// anybody, until it is there again and carries on.
func TestKilled(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)

		d.Stop(os.Kill)
		s.ExpectOpen(t, s.Source, "22")
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
		s.Knock(t, s.Neighbour, lab.SSHSequence...) // to nobody

		then, before := time.Now(), s.WaitIn(t, "ssh", s.Source)
		lab.StartDaemon(t, s.Server, lab.SSHDoor)
		after, in := s.Entry(t, "ssh", s.Source)
		gone := time.Since(then)
		if !in {
			t.Fatal("who was let in is out")
		}
		if after.Expires > before.Expires || after.Expires < before.Expires-gone-time.Second {
			t.Errorf("%v were left %v ago, and now %v", before.Expires, gone, after.Expires)
		}
		s.ExpectLogin(t, sshd, s.Source, 22)
		s.ExpectOut(t, "ssh", s.Neighbour)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)

		s.Knock(t, s.Neighbour, lab.SSHSequence...)
		s.ExpectOpen(t, s.Neighbour, "22")
	})
}

// TestTimeRunsOutWithoutDaemon leaves it to the kernel to let somebody out.
func TestTimeRunsOutWithoutDaemon(t *testing.T) {
	const config = lab.SSHDoor + `
open_timeout = "2s"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := lab.StartDaemon(t, s.Server, config)
		s.Knock(t, s.Source, lab.SSHSequence...)
		lab.ExpectLine(t, d, "granted", s.Source.String())
		d.Stop(os.Kill)
		s.WaitOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	})
}

// TestStopped stops the daemon in order, with either on_stop.
func TestStopped(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, onStop := range []string{"keep", "remove"} {
			t.Run(onStop, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				d := lab.StartDaemon(t, s.Server, "on_stop = \""+onStop+"\"\n"+lab.SSHDoor)
				s.Knock(t, s.Source, lab.SSHSequence...)
				s.WaitIn(t, "ssh", s.Source)

				d.Stop(syscall.SIGTERM)
				if code := d.Cmd.ProcessState.ExitCode(); code != 0 {
					t.Errorf("exit status %d after SIGTERM", code)
				}
				if onStop == "keep" {
					s.ExpectOpen(t, s.Source, "22")
					s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
					return
				}
				if strings.Contains(s.Server.Ruleset(t), lab.GateTable) {
					t.Errorf("the table is still there")
				}
				s.ExpectOpen(t, s.Neighbour, "22")
			})
		}
	})
}
