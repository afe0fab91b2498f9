package functional

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/integration/lab"
)

// retransmission is longer than TCP waits before it sends a SYN again.
const retransmission = 1200 * time.Millisecond

// TestClientLikeKnock runs knock(1) and nftknock with the same arguments: they print
// the same, end the same, and send the same packets. @ is the server's address.
func TestClientLikeKnock(t *testing.T) {
	lines := []string{
		"@ 7214 8391 6127",
		"-v @ 7214 8391:udp 6127:tcp",
		"-u -v @ 7214 8391:tcp 6127:udp",
		"-vd 20 @ 7214 7214",
		"-uvd5 @ 7214",
		"@ 7214 -d 1 8391 --verbose",
		"--udp --delay=5 @ 7214 8391 --verbose",
		"-4v @ 7214",
		"-6v @ 7214",
		"-4 -6 -v @ 7214",
		"-6 -4 -v @ 7214",
		"-v -- @ 7214",
		"-h",
		"-V",
		"",
		"@",
		"-x @ 7214",
		"@ x",
		"-d",
		"-d -1 @ 7214",
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Firewall(t, lab.SSHSequence...) // nobody answers: what is sent again would be seen
		c := s.Server.Capture(t, 1)
		var want []string
		for _, line := range lines {
			args := strings.Fields(strings.ReplaceAll(line, "@", s.Addr.String()))
			before := len(want)
			theirs := s.Client.Try(t, "knock", args...)
			lab.Eventually(t, "knock's packets arrive", func() bool { return len(c.Knocks(t, s.Addr)) >= before+hits(theirs, args) })
			want = c.Knocks(t, s.Addr)
			want = append(want, want[before:]...) // the same once more

			ours := s.Client.Try(t, lab.Nftknock, args...)
			c.Expect(t, s.Addr, want)
			if ours.Exit() != theirs.Exit() {
				t.Errorf("nftknock %s: exit %d, and knock's is %d\n%s", line, ours.Exit(), theirs.Exit(), ours.Stderr)
			}
			if len(want) > before {
				if diff := cmp.Diff(theirs.Stdout, ours.Stdout); diff != "" {
					t.Errorf("nftknock %s: %s", line, diff)
				}
			}
		}
		time.Sleep(retransmission)
		c.Expect(t, s.Addr, want)
	})
}

// hits is how many packets a knock(1) that has ended like this has sent.
func hits(r lab.Result, args []string) int {
	if r.Exit() != 0 {
		return 0
	}
	n := 0
	for _, a := range args {
		if strings.HasPrefix(a, "7214") || strings.HasPrefix(a, "8391") || strings.HasPrefix(a, "6127") {
			n++
		}
	}
	return n
}

// TestClientBetter is where nftknock refuses what knock(1) misunderstands. Nothing
// is sent then.
func TestClientBetter(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		c := s.Server.Capture(t, 1)
		nowhere := map[lab.Family]string{lab.IPv4: "192.0.2.1", lab.IPv6: "2001:db8::1"}[f]
		server := s.Addr.String()
		for _, tt := range []struct{ line, want string }{
			{server + " 7214 8391:tpc", `unknown protocol "tpc"`},
			{server + " 7214 8391:", `unknown protocol ""`},
			{server + " 7214 70000", "not a port"},
			{server + " 7214 0", "not a port"},
			{"-d x " + server + " 7214", "write milliseconds"},
			{nowhere + " 7214", "cannot be reached: connect: network is unreachable"},
			{"--source " + nowhere + " " + server + " 7214", nowhere + " is not an address of this machine"},
			{"--source x " + server + " 7214", "is not an address"},
			{"--retry 1 " + server + " 7214", "--retry needs a port"},
			{"--wait 22:udp " + server + " 7214", "want a whole number from 0 to 65535"},
		} {
			r := s.Client.Try(t, lab.Nftknock, strings.Fields(tt.line)...)
			if r.Exit() != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, tt.want) {
				t.Errorf("nftknock %s: exit %d, want %q:\n%s%s", tt.line, r.Exit(), tt.want, r.Stdout, r.Stderr)
			}
		}

		s.Client.RunWith(t, `table inet local { chain out { type filter hook output priority 0; udp dport 8391 drop; }; }`, "nft", "-f", "-")
		r := s.Client.Try(t, lab.Nftknock, server, "7214", "8391:udp", "6127")
		if want := "knock 2 of 3 could not be sent to " + server; r.Exit() != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("a knock that the own firewall drops: exit %d\n%s", r.Exit(), r.Stderr)
		}
		c.Expect(t, s.Addr, []string{lab.Arrival("tcp", s.Addr, 7214, 0)})
	})
}

// TestClientAnswers knocks on a port that is dropped, one that refuses and one that
// accepts, from an address that is not the one the system would choose.
func TestClientAnswers(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Firewall(t, "7214")
		s.Server.ListenTCP(t, 6127)
		c := s.Server.Capture(t, 1)
		s.Client.Run(t, lab.Nftknock, "--source", s.Neighbour.String(), s.Addr.String(), "7214", "8391", "6127", "8391:udp")
		time.Sleep(retransmission)
		c.Expect(t, s.Addr, []string{
			lab.Arrival("tcp", s.Addr, 7214, 0), lab.Arrival("tcp", s.Addr, 8391, 0), lab.Arrival("tcp", s.Addr, 6127, 0),
			lab.Arrival("udp", s.Addr, 8391, 1),
		})
	})
}
