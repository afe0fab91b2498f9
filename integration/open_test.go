package integration

import (
	"net/netip"
	"testing"
	"time"
)

// The door decides about new connections only: a session goes on when the
// time of whoever started it is over.
func TestTimeRunsOut(t *testing.T) {
	const config = sshDoor + `
open_timeout = "5s"
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		s.knock(t, s.person, sshSequence...)
		session := s.logIn(t, sshd, s.person, 22)

		s.waitOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
		session.expectEcho(t, "still here")

		s.knock(t, s.person, sshSequence...)
		s.expectOpen(t, s.person, "22")
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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.echoUDP(t, 51820)
		startDaemon(t, s.server, config)
		to := netip.AddrPortFrom(s.addr, 51820)
		from := netip.AddrPortFrom(s.person, 40123)
		eventually(t, "the echo answers", func() bool {
			s.knock(t, s.person, sshSequence...)
			a, _ := s.client.ask(from, to, notLong)
			return a == open
		})

		s.waitOut(t, "wire", s.person)
		s.expectShut(t, s.person, "51820:udp", silent)
		if a, err := s.client.ask(from, to, aWhile); a != open {
			t.Fatalf("the conversation is cut: %s: %v", a, err)
		}
	})
}

func TestClosing(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, sshDoorThatCloses)
		s.knock(t, s.neighbour, sshSequence...)
		s.knock(t, s.person, sshSequence...)
		session := s.logIn(t, sshd, s.person, 22)

		s.knock(t, s.person, sshCloseSequence...)
		s.waitOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
		session.expectEcho(t, "still here")
		s.expectOpen(t, s.neighbour, "22")
	})
}

func TestKnockingAgainRenews(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		startDaemon(t, s.server, sshDoor)
		s.knock(t, s.person, sshSequence...)
		if e := s.waitIn(t, "ssh", s.person); e.timeout != time.Minute {
			t.Fatalf("let in for %v, and open_timeout is a minute unless given", e.timeout)
		}
		const later = time.Minute - 3*time.Second
		eventually(t, "time passes", func() bool {
			e, _ := s.entry(t, "ssh", s.person)
			return e.expires < later
		})
		s.knock(t, s.person, sshSequence...)
		eventually(t, "the time is renewed", func() bool {
			e, in := s.entry(t, "ssh", s.person)
			if !in {
				t.Fatal("out while the time was renewed")
			}
			return e.expires >= later && e.timeout == time.Minute
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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		s.expectShut(t, s.person, "22", silent)

		s.client.run(t, "knock", "-d", "50", s.addr.String(), "7000", "8000", "9000")
		if e := s.waitIn(t, "ssh", s.person); e.timeout != 0 {
			t.Errorf("let in for %v, and it should be until closed", e.timeout)
		}
		s.expectLogin(t, sshd, s.person, 22)

		s.client.run(t, "knock", "-d", "50", s.addr.String(), "9000", "8000", "7000")
		s.waitOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
	})
}
