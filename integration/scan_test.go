package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestScansInOrder goes from port to port, up and down. As few decoys as there can be
// keep out who does; where there are none, the sequences in that order are open to all.
func TestScansInOrder(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, decoys := range []int{0, 1} {
			t.Run(fmt.Sprintf("decoys=%d", decoys), func(t *testing.T) {
				t.Parallel()
				runScans(t, f, decoys, func(s scan) bool { return s.opens != "" })
			})
		}
	})
}

// TestScansAtRandom has more decoys than usual, for the tests are to pass every time:
// three knocks come in order and before any of 32 decoys once in 39,270 scans, and before
// any of 256 once in 17 million.
func TestScansAtRandom(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		runScans(t, f, 256, func(s scan) bool { return s.opens == "" })
	})
}

// runScans lets scanners at a server, each from an address of its own, and at once. Not all
// of them look at all ports, since that is much work.
func runScans(t *testing.T, f family, decoys int, wanted func(scan) bool) {
	s := newSite(t, f)
	s.server.listenTCP(t, 22)
	d := startDaemon(t, s.server, fmt.Sprintf("[scan]\ndecoys = %d\n", decoys)+scannedDoors)
	ports := portRange{1, 10000}
	if f == ipv4 && decoys > 0 {
		ports = allPorts
	}
	t.Run("scans", func(t *testing.T) {
		for i, scan := range scans {
			if !wanted(scan) || scan.onlyIPv4 && f != ipv4 {
				continue
			}
			from := s.addScanner(t, i)
			t.Run(scan.name, func(t *testing.T) {
				t.Parallel()
				scan.run(t, s, from, ports)
				if decoys == 0 {
					s.waitIn(t, scan.opens, from)
					return
				}
				expectLine(t, d, "msg=scan", "source="+from.String(), "until=")
				s.expectShut(t, from, "22", silent)
			})
		}
	})
	s.settle(t, "mixed", mixedSequence...)
	expectLine(t, d, "granted", "door=mixed")
	if n := strings.Count(d.log(), "granted"); n != 1 && decoys > 0 {
		t.Errorf("%d were let in, and it should be one, who has knocked", n)
	}
	s.expectNoPort(t, d)
}

// addScanner gives the client one more address, in a subnet of its own.
func (s *site) addScanner(t testing.TB, nth int) netip.Addr {
	t.Helper()
	a := s.family.addr(1, byte(20+nth%200), byte(9+nth/200))
	s.client.addAddr(t, 1, a, "preferred_lft", "0")
	return a
}

// TestScanFromKnockToKnock scans from the first knock to the last. It is the decoys in between
// that keep it out.
func TestScanFromKnockToKnock(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		d := startDaemon(t, s.server, "[scan]\ndecoys = 1\n"+scannedDoors)
		nmapScan("-r")(t, s, s.person, portRange{6127, 8391})
		expectLine(t, d, "msg=scan", s.person.String())
		s.settle(t, "mixed", mixedSequence...)
		s.expectOut(t, "up", s.person)
	})
}

// TestScanPutsNobodyOut scans from addresses that are let in, by a knock and for ever. They
// stay in; but knocks don't count any more, not even to go.
func TestScanPutsNobodyOut(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		d := startDaemon(t, s.server, fmt.Sprintf("always_allow = [%q]", s.stranger)+sshDoorThatCloses)
		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)
		session := s.logIn(t, sshd, s.person, 22)

		for _, from := range []netip.Addr{s.person, s.stranger} {
			nmapScan("-r")(t, s, from, portRange{6000, 9000}) // at random it knocks to close once in sixty times
			expectLine(t, d, "msg=scan", from.String())
			s.expectLogin(t, sshd, from, 22)
		}
		session.expectEcho(t, "still here")
		s.knock(t, s.person, sshCloseSequence...)
		s.settle(t, "ssh", sshSequence...)
		if _, in := s.entry(t, "ssh", s.person); !in {
			t.Error("who is muted has gone by knocking")
		}
	})
}
