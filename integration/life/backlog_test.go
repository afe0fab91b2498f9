package life

import (
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestBacklog stops the daemon while somebody knocks. What it reads when it goes on counts
// from when it arrived: a knock that took too long opens nothing, one in time does.
func TestBacklog(t *testing.T) {
	const config = lab.SSHDoor + `
seq_timeout = "2s"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := lab.StartDaemon(t, s.Server, config)

		d.Cmd.Process.Signal(syscall.SIGSTOP)
		s.Knock(t, s.Neighbour, lab.SSHSequence[0])
		time.Sleep(3 * time.Second) // longer than seq_timeout: this is what is tested
		s.Knock(t, s.Neighbour, lab.SSHSequence[1:]...)
		s.Knock(t, s.Source, lab.SSHSequence...)
		d.Cmd.Process.Signal(syscall.SIGCONT)

		s.ExpectOpen(t, s.Source, "22")
		s.ExpectOut(t, "ssh", s.Neighbour)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
	})
}
