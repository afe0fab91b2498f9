package integration

import (
	"syscall"
	"testing"
	"time"
)

// TestBacklog stops the daemon while somebody knocks. What it reads when it goes on counts
// from when it arrived: a knock that took too long opens nothing, one in time does.
func TestBacklog(t *testing.T) {
	const config = sshDoor + `
seq_timeout = "2s"
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		d := startDaemon(t, s.server, config)

		d.cmd.Process.Signal(syscall.SIGSTOP)
		s.knock(t, s.neighbour, sshSequence[0])
		time.Sleep(3 * time.Second)
		s.knock(t, s.neighbour, sshSequence[1])
		time.Sleep(3 * time.Second)
		s.knock(t, s.neighbour, sshSequence[2:]...)
		s.knock(t, s.person, sshSequence...)
		d.cmd.Process.Signal(syscall.SIGCONT)

		s.expectOpen(t, s.person, "22")
		s.expectOut(t, "ssh", s.neighbour)
		s.expectShut(t, s.neighbour, "22", silent)
	})
}
