package integration

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A knocker is a program that people knock with.
type knocker struct {
	name  string
	knock func(t *testing.T, s *site, ports []string)
}

// Each but the first of these sends one knock a run.
var knockers = []knocker{
	{"knock", func(t *testing.T, s *site, ports []string) {
		s.client.run(t, "knock", append([]string{"-d", "50", s.addr.String()}, ports...)...)
	}},
	{"nmap -sS", nmap("-sS")},
	{"nmap -sT", nmap("-sT")},
	{"nc", func(t *testing.T, s *site, ports []string) {
		for _, p := range ports {
			// It fails, for the port is not open.
			s.client.try(t, "nc", "-w1", "-z", s.addr.String(), p)
		}
	}},
}

func nmap(scan string) func(*testing.T, *site, []string) {
	return func(t *testing.T, s *site, ports []string) {
		for _, p := range ports {
			args := []string{scan, "-Pn", "-n", "--max-retries", "0", "-p", p, s.addr.String()}
			if s.family == ipv6 {
				args = slices.Insert(args, 0, "-6")
			}
			s.client.run(t, "nmap", args...)
		}
	}
}

// TestKnockers knocks with each program, on ports that are closed and on
// ports that a firewall drops.
func TestKnockers(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, k := range knockers {
			for _, firewalled := range []bool{false, true} {
				name := k.name + " on closed ports"
				if firewalled {
					name = k.name + " on dropped ports"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s := newSite(t, f)
					sshd := startSSHD(t, s.server, 22)
					if firewalled {
						s.firewall(t, sshSequence...)
					}
					startDaemon(t, s.server, sshDoor)
					s.expectShut(t, s.person, "22", silent)

					k.knock(t, s, sshSequence)
					s.waitIn(t, "ssh", s.person)
					s.expectLogin(t, sshd, s.person, 22)
					s.expectShut(t, s.neighbour, "22", silent)
				})
			}
		}
	})
}

// TestECN knocks from a host that asks for explicit congestion notification,
// which sets two more flags of each SYN.
func TestECN(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		s.client.sysctl(t, "net/ipv4/tcp_ecn", "1") // of IPv6 too
		startDaemon(t, s.server, sshDoor)
		s.client.run(t, "knock", append([]string{"-d", "50", s.addr.String()}, sshSequence...)...)
		s.expectOpen(t, s.person, "22")
	})
}

// TestTelnet knocks as the tutorials do by hand: each telnet is left hanging
// until its SYN has been sent again, and then given up.
func TestTelnet(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		s.firewall(t, sshSequence...)
		startDaemon(t, s.server, sshDoor)

		for _, p := range sshSequence {
			telnet := s.telnet(t, p)
			eventually(t, "telnet has sent its SYN again", func() bool { return s.dropped(t, p) >= 2 })
			telnet.stop(os.Interrupt)
		}
		s.waitIn(t, "ssh", s.person)
		s.expectLogin(t, sshd, s.person, 22)
	})
}

// TestTelnetsAtOnce leaves all telnets hanging while the next ones start. The
// SYNs of all of them are sent again every second, mixed, and none of that is
// a knock: neither do they spoil the sequence, nor shut the door again.
func TestTelnetsAtOnce(t *testing.T) {
	// The second rhythm is that of the closing sequence, second for second.
	rhythms := []time.Duration{1200 * time.Millisecond, 800 * time.Millisecond}
	eachFamily(t, func(t *testing.T, f family) {
		for _, rhythm := range rhythms {
			t.Run(rhythm.String(), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				sshd := startSSHD(t, s.server, 22)
				s.firewall(t, sshSequence...)
				d := startDaemon(t, s.server, sshDoorThatCloses)

				for i, p := range sshSequence {
					if i > 0 {
						time.Sleep(rhythm)
					}
					s.telnet(t, p)
				}
				s.waitIn(t, "ssh", s.person)
				for stop := time.Now().Add(9 * time.Second); time.Now().Before(stop); time.Sleep(100 * time.Millisecond) {
					if _, in := s.entry(t, "ssh", s.person); !in {
						t.Fatal("SYNs that were sent again have shut the door")
					}
				}
				for _, p := range sshSequence {
					if n := s.dropped(t, p); n < 4 {
						t.Errorf("the SYN to %s was sent %d times: the test proves nothing", p, n)
					}
				}
				if n := strings.Count(d.log(), "granted"); n != 1 {
					t.Errorf("the door has opened %d times", n)
				}
				s.expectLogin(t, sshd, s.person, 22)
			})
		}
	})
}

// telnet starts a telnet to a port that is dropped, and leaves it hanging.
func (s *site) telnet(t *testing.T, port string) *process {
	t.Helper()
	cmd := command(t.Context(), t, "telnet", s.addr.String(), port)
	if _, err := cmd.StdinPipe(); err != nil { // it stays at its prompt
		t.Fatal(err)
	}
	return s.client.startCmd(t, cmd)
}
