package integration

import (
	"net/netip"
	"testing"
	"time"
)

// The door decides about new connections only: a session goes on when the
// time of whoever started it is over.
func TestTimeRunsOut(t *testing.T) {
	const config = SSHDoor + `
open_timeout = "5s"
`
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		sshd := StartSSHD(t, s.Server, 22)
		StartDaemon(t, s.Server, config)
		s.Knock(t, s.Person, SSHSequence...)
		session := s.LogIn(t, sshd, s.Person, 22)

		s.WaitOut(t, "ssh", s.Person)
		s.ExpectShut(t, s.Person, "22", Silent)
		session.ExpectEcho(t, "still here")

		s.Knock(t, s.Person, SSHSequence...)
		s.ExpectOpen(t, s.Person, "22")
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
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		s.Server.EchoUDP(t, 51820)
		StartDaemon(t, s.Server, config)
		to := netip.AddrPortFrom(s.Addr, 51820)
		from := netip.AddrPortFrom(s.Person, 40123)
		Eventually(t, "the echo answers", func() bool {
			s.Knock(t, s.Person, SSHSequence...)
			a, _ := s.Client.Ask(from, to, BriefTimeout)
			return a == Open
		})

		s.WaitOut(t, "wire", s.Person)
		s.ExpectShut(t, s.Person, "51820:udp", Silent)
		if a, err := s.Client.Ask(from, to, Timeout); a != Open {
			t.Fatalf("the conversation is cut: %s: %v", a, err)
		}
	})
}

func TestClosing(t *testing.T) {
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		sshd := StartSSHD(t, s.Server, 22)
		StartDaemon(t, s.Server, SSHDoorThatCloses)
		s.Knock(t, s.Neighbour, SSHSequence...)
		s.Knock(t, s.Person, SSHSequence...)
		session := s.LogIn(t, sshd, s.Person, 22)

		s.Knock(t, s.Person, SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Person)
		s.ExpectShut(t, s.Person, "22", Silent)
		session.ExpectEcho(t, "still here")
		s.ExpectOpen(t, s.Neighbour, "22")
	})
}

func TestKnockingAgainRenews(t *testing.T) {
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		StartDaemon(t, s.Server, SSHDoor)
		s.Knock(t, s.Person, SSHSequence...)
		if e := s.WaitIn(t, "ssh", s.Person); e.Timeout != time.Minute {
			t.Fatalf("let in for %v, and open_timeout is a minute unless given", e.Timeout)
		}
		const later = time.Minute - 3*time.Second
		Eventually(t, "time passes", func() bool {
			e, _ := s.Entry(t, "ssh", s.Person)
			return e.Expires < later
		})
		s.Knock(t, s.Person, SSHSequence...)
		Eventually(t, "the time is renewed", func() bool {
			e, in := s.Entry(t, "ssh", s.Person)
			if !in {
				t.Fatal("out while the time was renewed")
			}
			return e.Expires >= later && e.Timeout == time.Minute
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
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		sshd := StartSSHD(t, s.Server, 22)
		StartDaemon(t, s.Server, config)
		s.ExpectShut(t, s.Person, "22", Silent)

		s.Client.Run(t, "knock", "-d", "50", s.Addr.String(), "7000", "8000", "9000")
		if e := s.WaitIn(t, "ssh", s.Person); e.Timeout != 0 {
			t.Errorf("let in for %v, and it should be until closed", e.Timeout)
		}
		s.ExpectLogin(t, sshd, s.Person, 22)

		s.Client.Run(t, "knock", "-d", "50", s.Addr.String(), "9000", "8000", "7000")
		s.WaitOut(t, "ssh", s.Person)
		s.ExpectShut(t, s.Person, "22", Silent)
	})
}
