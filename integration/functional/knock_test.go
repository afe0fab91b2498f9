package functional

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// A knocker is a program that people knock with.
type knocker struct {
	name  string
	knock func(t *testing.T, s *lab.Topology, ports []string)
}

// Each but the first of these sends one knock a run.
var knockers = []knocker{
	{"knock", func(t *testing.T, s *lab.Topology, ports []string) {
		s.RunKnock(t, "50", ports...)
	}},
	{"nmap -sS", nmap("-sS")},
	{"nmap -sT", nmap("-sT")},
	{"nc", func(t *testing.T, s *lab.Topology, ports []string) {
		for _, p := range ports {
			// It fails, for the port is not open.
			s.Client.Try(t, "nc", "-w1", "-z", s.Addr.String(), p)
		}
	}},
}

func nmap(scan string) func(*testing.T, *lab.Topology, []string) {
	return func(t *testing.T, s *lab.Topology, ports []string) {
		for _, p := range ports {
			args := []string{scan, "-Pn", "-n", "--max-retries", "0", "-p", p, s.Addr.String()}
			if s.Family == lab.IPv6 {
				args = slices.Insert(args, 0, "-6")
			}
			s.Client.Run(t, "nmap", args...)
		}
	}
}

// TestKnockers knocks with each program, on ports that are closed and on
// ports that a firewall drops.
func TestKnockers(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, k := range knockers {
			for _, firewalled := range []bool{false, true} {
				name := k.name + " on closed ports"
				if firewalled {
					name = k.name + " on dropped ports"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s := lab.NewTopology(t, f)
					sshd := lab.StartSSHD(t, s.Server, 22)
					if firewalled {
						s.Firewall(t, lab.SSHSequence...)
					}
					lab.StartDaemon(t, s.Server, lab.SSHDoor)
					s.ExpectShut(t, s.Source, "22", lab.Silent)

					k.knock(t, s, lab.SSHSequence)
					s.WaitIn(t, "ssh", s.Source)
					s.ExpectLogin(t, sshd, s.Source, 22)
					s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
				})
			}
		}
	})
}

// TestECN knocks from a host that asks for explicit congestion notification,
// which sets two more flags of each SYN.
func TestECN(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		s.Client.Sysctl(t, "net/ipv4/tcp_ecn", "1") // of IPv6 too
		lab.StartDaemon(t, s.Server, lab.SSHDoor)
		s.RunKnock(t, "50", lab.SSHSequence...)
		s.ExpectOpen(t, s.Source, "22")
	})
}

// TestTelnet knocks as the tutorials do by hand: each telnet is left hanging
// until its SYN has been sent again, and then given up.
func TestTelnet(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		s.Firewall(t, lab.SSHSequence...)
		lab.StartDaemon(t, s.Server, lab.SSHDoor)

		for _, p := range lab.SSHSequence {
			telnet := startTelnet(t, s, p)
			lab.Eventually(t, "telnet has sent its SYN again", func() bool { return s.Dropped(t, p) >= 2 })
			telnet.Stop(os.Interrupt)
		}
		s.WaitIn(t, "ssh", s.Source)
		s.ExpectLogin(t, sshd, s.Source, 22)
	})
}

// TestTelnetsAtOnce leaves all telnets hanging while the next ones start. The
// SYNs of all of them are sent again every second, mixed, and none of that is
// a knock: neither do they spoil the sequence, nor shut the door again.
func TestTelnetsAtOnce(t *testing.T) {
	// The second rhythm is that of the closing sequence, second for second.
	rhythms := []time.Duration{1200 * time.Millisecond, 800 * time.Millisecond}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, rhythm := range rhythms {
			t.Run(rhythm.String(), func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				s.Firewall(t, lab.SSHSequence...)
				d := lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)

				for i, p := range lab.SSHSequence {
					if i > 0 {
						time.Sleep(rhythm)
					}
					startTelnet(t, s, p)
				}
				s.WaitIn(t, "ssh", s.Source)
				for stop := time.Now().Add(9 * time.Second); time.Now().Before(stop); time.Sleep(100 * time.Millisecond) {
					if _, in := s.Entry(t, "ssh", s.Source); !in {
						t.Fatal("SYNs that were sent again have shut the door")
					}
				}
				for _, p := range lab.SSHSequence {
					if n := s.Dropped(t, p); n < 4 {
						t.Errorf("the SYN to %s was sent %d times: the test proves nothing", p, n)
					}
				}
				if n := strings.Count(d.Log(), "granted"); n != 1 {
					t.Errorf("the door has opened %d times", n)
				}
				s.ExpectLogin(t, sshd, s.Source, 22)
			})
		}
	})
}

// startTelnet starts a telnet to a port that is dropped, and leaves it hanging.
func startTelnet(t *testing.T, s *lab.Topology, port string) *lab.Process {
	t.Helper()
	cmd := lab.Command(t.Context(), t, "telnet", s.Addr.String(), port)
	if _, err := cmd.StdinPipe(); err != nil { // it stays at its prompt
		t.Fatal(err)
	}
	return s.Client.StartCmd(t, cmd)
}
