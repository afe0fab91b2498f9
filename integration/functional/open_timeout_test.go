package functional

import (
	"net/netip"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// The door decides about new connections only: a session goes on when the
// time of whoever started it is over.
func TestTimeRunsOut(t *testing.T) {
	const config = lab.SSHDoor + `
open_timeout = "5s"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		s.Knock(t, s.Source, lab.SSHSequence...)
		session := s.LogIn(t, sshd, s.Source, 22)

		s.WaitOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		session.ExpectEcho(t, "still here")

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.ExpectOpen(t, s.Source, "22")
	})
}

// A conversation over UDP goes on as well, as long as the kernel remembers it.
func TestTimeRunsOutUDP(t *testing.T) {
	const config = `
[door.wire]
ports        = ["51820:udp"]
sequence     = [7214, 8391, 6127]
open_timeout = "2s"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.EchoUDP(t, 51820)
		lab.StartDaemon(t, s.Server, config)
		to := netip.AddrPortFrom(s.Addr, 51820)
		from := netip.AddrPortFrom(s.Source, 40123)
		lab.Eventually(t, "the echo answers", func() bool {
			s.Knock(t, s.Source, lab.SSHSequence...)
			a, _ := s.Client.Ask(from, to, lab.BriefTimeout)
			return a == lab.Open
		})

		s.WaitOut(t, "wire", s.Source)
		s.ExpectShut(t, s.Source, "51820:udp", lab.Silent)
		if a, err := s.Client.Ask(from, to, lab.Timeout); a != lab.Open {
			t.Fatalf("the conversation is cut: %s: %v", a, err)
		}
	})
}

func TestClosing(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
		s.Knock(t, s.Neighbour, lab.SSHSequence...)
		s.Knock(t, s.Source, lab.SSHSequence...)
		session := s.LogIn(t, sshd, s.Source, 22)

		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		session.ExpectEcho(t, "still here")
		s.ExpectOpen(t, s.Neighbour, "22")
	})
}

func TestKnockingAgainRenews(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.StartDaemon(t, s.Server, lab.SSHDoor)
		s.Knock(t, s.Source, lab.SSHSequence...)
		if e := s.WaitIn(t, "ssh", s.Source); !e.IsFor(time.Minute) {
			t.Fatalf("let in for %v, and open_timeout is a minute unless given", e.Timeout)
		}
		const later = time.Minute - 3*time.Second
		lab.Eventually(t, "time passes", func() bool {
			e, _ := s.Entry(t, "ssh", s.Source)
			return e.Expires < later
		})
		s.Knock(t, s.Source, lab.SSHSequence...)
		lab.Eventually(t, "the time is renewed", func() bool {
			e, in := s.Entry(t, "ssh", s.Source)
			if !in {
				t.Fatal("out while the time was renewed")
			}
			return e.Expires >= later && e.IsFor(time.Minute)
		})
	})
}

// TestTutorial is what every knockd tutorial does: three ports open, the same
// backwards close, and nothing happens by itself.
func TestTutorial(t *testing.T) {
	const config = `
[door.ssh]
ports          = [22]
sequence       = [7000, 8000, 9000]
close_sequence = [9000, 8000, 7000]
seq_timeout    = 15
open_timeout   = "forever"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		s.ExpectShut(t, s.Source, "22", lab.Silent)

		s.RunKnock(t, "50", "7000", "8000", "9000")
		if e := s.WaitIn(t, "ssh", s.Source); e.Timeout != 0 {
			t.Errorf("let in for %v, and it should be until closed", e.Timeout)
		}
		s.ExpectLogin(t, sshd, s.Source, 22)

		s.RunKnock(t, "50", "9000", "8000", "7000")
		s.WaitOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	})
}
