package integration

import (
	"fmt"
	"strings"
	"testing"
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
		want answer
	}{
		{"drop", silent},
		{"reject", refused},
	}
	eachFamily(t, func(t *testing.T, f family) {
		for _, test := range tests {
			t.Run(test.shut, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				startSSHD(t, s.server, 22)
				s.server.echoUDP(t, 51820)
				s.expectOpen(t, s.person, "22")
				s.expectOpen(t, s.person, "51820:udp")

				startDaemon(t, s.server, fmt.Sprintf(config, test.shut))
				s.expectShut(t, s.person, "22", test.want)
				s.expectShut(t, s.person, "51820:udp", test.want)
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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		startSSHD(t, s.server, 22)
		s.server.echoUDP(t, 51820)
		startDaemon(t, s.server, config)
		for _, scan := range []struct{ kind, shut, closed, want string }{
			{"-sS", "22/tcp", "23/tcp", "closed reset ttl 64"},
			{"-sU", "51820/udp", "51821/udp", "closed port-unreach ttl 64"},
		} {
			args := []string{scan.kind, "-Pn", "-n", "--reason", "-p", portsOf(scan.shut, scan.closed), s.addr.String()}
			if f == ipv6 {
				args = append(args, "-6")
			}
			out := s.client.run(t, "nmap", args...)
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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		startSSHD(t, s.server, 22, 2222)
		startDaemon(t, s.server, sshDoor)
		s.expectShut(t, s.person, "22", silent)
		s.expectOpen(t, s.person, "2222")
	})
}
