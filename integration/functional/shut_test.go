package functional

import (
	"fmt"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

func TestShut(t *testing.T) {
	const config = `
[door.wire]
ports    = [22, "51820:udp"]
sequence = [7214, 8391, 6127]
shut     = %q
`
	tests := []struct {
		shut string
		want lab.Answer
	}{
		{"drop", lab.Silent},
		{"reject", lab.Refused},
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, test := range tests {
			t.Run(test.shut, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				lab.StartSSHD(t, s.Server, 22)
				s.Server.EchoUDP(t, 51820)
				s.ExpectOpen(t, s.Source, "22")
				s.ExpectOpen(t, s.Source, "51820:udp")

				lab.StartDaemon(t, s.Server, fmt.Sprintf(config, test.shut))
				s.ExpectShut(t, s.Source, "22", test.want)
				s.ExpectShut(t, s.Source, "51820:udp", test.want)
			})
		}
	})
}

// TestRejectLooksClosed asks a scanner, which tells what came back: a shut door
// and a port that nothing listens on are the same to it.
func TestRejectLooksClosed(t *testing.T) {
	const config = `
[door.wire]
ports    = [22, "51820:udp"]
sequence = [7214, 8391, 6127]
shut     = "reject"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.StartSSHD(t, s.Server, 22)
		s.Server.EchoUDP(t, 51820)
		lab.StartDaemon(t, s.Server, config)
		for _, scan := range []struct{ kind, shut, closed, want string }{
			{"-sS", "22/tcp", "23/tcp", "closed reset ttl 64"},
			{"-sU", "51820/udp", "51821/udp", "closed port-unreach ttl 64"},
		} {
			args := []string{scan.kind, "-Pn", "-n", "--reason", "-p", portsOf(scan.shut, scan.closed), s.Addr.String()}
			if f == lab.IPv6 {
				args = append(args, "-6")
			}
			out := s.Client.Run(t, "nmap", args...)
			for _, port := range []string{scan.shut, scan.closed} {
				if got := nmapState(out, port); got != scan.want {
					t.Errorf("nmap %s finds %s %q, want %q:\n%s", scan.kind, port, got, scan.want, out)
				}
			}
		}
	})
}

// portsOf is nmap's notation for some ports of one protocol.
func portsOf(ports ...string) string {
	var numbers []string
	for _, p := range ports {
		number, _, _ := strings.Cut(p, "/")
		numbers = append(numbers, number)
	}
	return strings.Join(numbers, ",")
}

// nmapState returns what nmap says of a port, without the service's name.
func nmapState(out, port string) string {
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 3 && fields[0] == port {
			return fields[1] + " " + strings.Join(fields[3:], " ")
		}
	}
	return ""
}

// A port that no door guards is none of the gate's business.
func TestUnguardedPort(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.StartSSHD(t, s.Server, 22, 2222)
		lab.StartDaemon(t, s.Server, lab.SSHDoor)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.ExpectOpen(t, s.Source, "2222")
	})
}
