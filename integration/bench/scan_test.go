package bench

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// knocksWhileScanned is how many people knock while the scanners scan.
const knocksWhileScanned = 50

// sequenceFor returns the worst sequence to have against a scan.
func sequenceFor(sc lab.Scan) []string {
	switch sc.Opens {
	case "up":
		return []string{"6127", "7214", "8391"}
	case "down":
		return []string{"8391", "7214", "6127"}
	}
	return lab.SSHSequence
}

// scanTimes returns how often a scan is let at a system: at ours a hundred times, all in all.
func scanTimes(sc lab.Scan, system string) int {
	switch {
	case system != nameOfOurs:
		return 4
	case sc.Slow:
		return 5
	}
	return 19
}

// reportScans counts the scans that open a door, each from another address.
func reportScans(t *testing.T, r *benchReport) {
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.Run(t, "ip", "route", "add", "default", "via", s.Source.String())
	s.Server.ListenTCP(t, 22)

	head := []string{""}
	rows := make([][]string, len(lab.AllScans))
	opened, of, addresses := 0, 0, 0
	for _, system := range systems {
		head = append(head, system.name)
		for i, scan := range lab.AllScans {
			if len(rows[i]) == 0 {
				rows[i] = []string{scan.Name}
			}
			tried := countPort(t, s, 54321) // which nobody knows of
			running := system.start(t, s, sequenceFor(scan))
			times := scanTimes(scan, system.name)
			var sources []netip.Addr
			t.Run(system.name+"/"+scan.Name, func(t *testing.T) {
				for range times {
					from := s.AddScanner(t, addresses)
					addresses++
					sources = append(sources, from)
					t.Run(from.String(), func(t *testing.T) {
						if system.name == nameOfOurs { // knockd misses packets if several scan
							t.Parallel()
						}
						scan.Run(t, s, from, lab.AllPorts)
					})
				}
			})
			if n := tried(); n < times {
				t.Fatalf("%s: %d of %d scans have tried all ports", scan.Name, n, times)
			}
			time.Sleep(200 * time.Millisecond) // knockd runs nft
			in := 0
			for _, from := range sources {
				if isIn(t, s, system, from) {
					in++
				}
			}
			running.stop()
			rows[i] = append(rows[i], fmt.Sprintf("%d of %d", in, times))
			if system.name == nameOfOurs {
				opened, of = opened+in, of+times
			}
		}
	}
	people := knockWhileScanned(t, s)

	r.heading("Port scans")
	r.say(fmt.Sprintf(`
How many scans of all TCP ports have opened a door with three knocks. What tries ports in order meets the knocks in that
order; what tries them at random, a sequence that is not ordered. Each scan comes from another address, since one that has
touched a decoy is muted; nftknockd meets several at once, the peers one after the other. nftknockd has its 32 decoys: at random, the knocks come in order and before any of them once in
39,270 scans, so that none is what to expect here, and no proof that there never is one. Without decoys it is one in six.
Then %d hosts scan at once, again and again, while %d people knock.`, lab.ScannerCount, knocksWhileScanned))
	r.table(append([][]string{head}, rows...))
	r.targets(
		exactly("scans/opened", "scans that opened", fmt.Sprintf("%d of %d", opened, of), fmt.Sprintf("0 of %d", of)),
		exactly("scans/knocks", "knocks that opened beside scans", people.opened(), fmt.Sprintf("%d of %[1]d", knocksWhileScanned)),
	)
}

// countPort counts the packets to a TCP port of the server from now on.
func countPort(t testing.TB, s *lab.Topology, port uint16) func() int {
	t.Helper()
	const table = "table inet count; delete table inet count; table inet count { chain input { type filter hook input priority filter; tcp dport %d counter; }; }"
	s.Server.RunWith(t, fmt.Sprintf(table, port), "nft", "-f", "-")
	return func() int {
		t.Helper()
		n := 0
		for _, r := range s.Server.Rules(t) {
			if r.Table == "count" {
				n += r.Packets()
			}
		}
		return n
	}
}

// isIn says whether a system lets an address in.
func isIn(t testing.TB, s *lab.Topology, sys system, who netip.Addr) bool {
	t.Helper()
	listed := s.Server.Run(t, "nft", append([]string{"list", "set"}, sys.open...)...)
	return strings.Contains(listed, who.String()+" ")
}

// knockWhileScanned has hosts scan until the test ends, and people knock.
func knockWhileScanned(t *testing.T, s *lab.Topology) probe {
	t.Helper()
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	for i := range lab.ScannerCount {
		from := s.AddScanner(t, 200+i)
		s.ScanOnAndOn(t, from)
		lab.ExpectLine(t, d, "msg=scan", from.String())
	}
	return newKnockTimer(t, s).knock(t, knocksWhileScanned)
}
