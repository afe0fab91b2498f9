package functional

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// twiceDoor leaves slow programs the time they need.
const twiceDoor = `
limits.per_source = 10000

[door.tcp]
ports        = [22]
sequence     = [7214, 8391, 6127]
seq_timeout  = "5m"
open_timeout = "10m"

[door.udp]
ports        = [23]
sequence     = ["7215:udp", "8392:udp", "6128:udp"]
seq_timeout  = "5m"
open_timeout = "10m"
`

// TestOrders knocks in orders that people and programs come to when they knock twice, or
// two at a time, and in others that are wrong.
func TestOrders(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		d := lab.StartDaemon(t, s.Server, twiceDoor)
		ports := map[rune]string{
			'1': "7214", '2': "8391", '3': "6127",
			'a': "7215:udp", 'b': "8392:udp", 'c': "6128:udp",
		}
		for order, door := range map[string]string{
			"123": "tcp", "112233": "tcp", "121323": "tcp", "12123": "tcp", "111222333": "tcp", "1a2b3c": "tcp udp",
			"aabbcc": "udp", "abacbc": "udp",
			"132": "", "1323": "", "213": "", "2123": "tcp", "1213": "tcp", "321": "", "12213": "", "aacbb": "", "cba": "",
		} {
			var knocks []string
			for _, c := range order {
				knocks = append(knocks, ports[c])
			}
			s.Knock(t, s.Source, knocks...)
			// No attempt is left for the next order: eight knocks count for the eight that
			// there may be at most, and the next one starts all of them over.
			for range 9 {
				s.Knock(t, s.Source, "8391", "8392:udp")
			}
			// What a stranger knocks afterwards has been looked at after it.
			s.Knock(t, s.Stranger, lab.SSHSequence...)
			s.WaitIn(t, "tcp", s.Stranger)
			for _, name := range []string{"tcp", "udp"} {
				_, in := s.Entry(t, name, s.Source)
				if want := strings.Contains(door, name); in != want {
					t.Errorf("%s: door %s lets in: %v, want %v", order, name, in, want)
				}
				d.Tell(t, "close", name, "--all")
			}
		}
	})
}

// TestKnockTwice knocks with programs that try a port more than once.
func TestKnockTwice(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, program := range []struct {
			name, door string
			syns       int // that arrive of a knock, at least
			run        func(t *testing.T, s *lab.Topology, port string)
		}{
			{"curl --retry", "tcp", 3, func(t *testing.T, s *lab.Topology, port string) {
				// It fails, for the port is not open.
				s.Client.Try(t, "curl", "-s", "-g", "--noproxy", "*", "--max-time", "1", "--retry", "2", "--retry-delay", "1",
					"--retry-connrefused", "--retry-all-errors", pageAt(s, port))
			}},
			{"doubled datagrams", "udp", 0, func(t *testing.T, s *lab.Topology, port string) {
				p := map[string]string{"7214": "7215:udp", "8391": "8392:udp", "6127": "6128:udp"}[port]
				s.RunKnock(t, "1", p, p)
			}},
		} {
			for _, firewalled := range []bool{false, true} {
				name := program.name + " on closed ports"
				if firewalled {
					name = program.name + " on dropped ports"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s := lab.NewTopology(t, f)
					if firewalled {
						s.Firewall(t, lab.SSHSequence...)
					}
					lab.StartDaemon(t, s.Server, twiceDoor)
					for _, port := range lab.SSHSequence {
						program.run(t, s, port)
						if firewalled && program.syns > 0 {
							if n := s.Dropped(t, port); n < program.syns {
								t.Errorf("the SYN to %s was sent %d times: the test proves nothing", port, n)
							}
						}
					}
					s.WaitIn(t, program.door, s.Source)
				})
			}
		}
	})
}

// pageAt is the URL of a page of the server's.
func pageAt(s *lab.Topology, port string) string {
	return "http://" + net.JoinHostPort(s.Addr.String(), port) + "/"
}

// TestBrowser opens a page on each knock port with Chromium, where that is installed. It
// starts slowly, and not beside other tests.
func TestBrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("Chromium is not installed")
	}
	for f, dropped := range map[lab.Family]bool{lab.IPv4: false, lab.IPv6: true} { // each is slow
		t.Run(f.String(), func(t *testing.T) {
			s := lab.NewTopology(t, f)
			if dropped {
				s.Firewall(t, lab.SSHSequence...)
			}
			lab.StartDaemon(t, s.Server, twiceDoor)
			// A page is asked for two or three times, and a later one more often than an earlier one
			// starts all attempts over: whoever is not in tries again.
			for range 3 {
				for _, port := range lab.SSHSequence {
					browse(t, s, port)
				}
				if _, in := s.Entry(t, "tcp", s.Source); in {
					break
				}
			}
			s.WaitIn(t, "tcp", s.Source)
		})
	}
}

// browse opens a page until the browser has knocked twice.
func browse(t *testing.T, s *lab.Topology, port string) {
	t.Helper()
	c := s.Server.Capture(t, 1)
	cmd := lab.Command(t.Context(), t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--no-proxy-server", "--user-data-dir="+t.TempDir(), "--dump-dom", pageAt(s, port))
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	p := s.Client.StartCmd(t, cmd)
	syns := func() int { return strings.Count(strings.Join(c.Knocks(t, s.Addr), "\n"), ":"+port+",") }
	for deadline := time.Now().Add(4 * lab.Timeout); syns() < 2 && !p.Ended() && time.Now().Before(deadline); {
		time.Sleep(lab.PollInterval)
	}
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // its helpers, too
	<-p.Done
	n := syns()
	if n == 0 {
		t.Fatalf("Chromium has sent no SYN to %s", port)
	}
	t.Logf("Chromium has sent %d SYNs to %s", n, port)
}
