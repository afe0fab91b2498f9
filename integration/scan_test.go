package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
				expectLine(t, d, "msg=scan", "source="+from.String(), "muted=1m")
				s.expectShut(t, from, "22", silent)
			})
		}
	})
	s.settle(t, "mixed", mixedSequence...)
	expectLine(t, d, "let in", "door=mixed")
	if n := strings.Count(d.log(), "let in"); n != 1 && decoys > 0 {
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

// expectNoPort makes sure that the log tells of no port that is watched.
func (s *site) expectNoPort(t testing.TB, d *daemon) {
	t.Helper()
	var ports []string
	for _, port := range s.server.portsIn(t, "knock_tcp") {
		if port > 999 { // such a number stands for something else
			ports = append(ports, fmt.Sprint(port))
		}
	}
	expectSecret(t, d, ports)
}

// portsIn lists a set of ports of the gate's, in order.
func (h *host) portsIn(t testing.TB, set string) []uint16 {
	t.Helper()
	var ports []uint16
	for _, object := range h.list(t, "set", "inet", gateTable, set).Nftables {
		if object.Set == nil {
			continue
		}
		for _, raw := range object.Set.Elem {
			var port uint16
			if err := json.Unmarshal(raw, &port); err != nil {
				t.Fatalf("set %s: element %s: %v", set, raw, err)
			}
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
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

// TestKnockWhileScanned has somebody knock 50 times while five hosts scan.
func TestKnockWhileScanned(t *testing.T) {
	t.Parallel()
	const times = 50
	s := newSite(t, ipv4)
	s.server.listenTCP(t, 22)
	d := startDaemon(t, s.server, sshDoor)

	var scanning []*process
	for i := range scanners {
		from := s.addScanner(t, i)
		scanning = append(scanning, s.scanOnAndOn(t, from))
		expectLine(t, d, "msg=scan", from.String()) // it is under way
	}
	for n := 1; n <= times; n++ {
		s.client.run(t, "knock", append([]string{"-d", "20", s.addr.String()}, sshSequence...)...)
		eventually(t, fmt.Sprintf("knock %d of %d lets in", n, times), func() bool {
			return strings.Count(d.log(), "let in") == n
		})
	}
	if slices.ContainsFunc(scanning, (*process).ended) {
		t.Error("a host has stopped scanning")
	}
	s.expectOpen(t, s.person, "22")
	if in := s.entries(t, "ssh"); len(in) != 1 {
		t.Errorf("%v are in, and it should be one", in)
	}
}

// scanOnAndOn scans all ports until the test ends.
func (s *site) scanOnAndOn(t testing.TB, from netip.Addr) *process {
	t.Helper()
	script := fmt.Sprintf("while nmap -sS -Pn -n -p- --max-rate 5000 -S %v -e net1 %v; do :; done", from, s.addr)
	cmd := command(t.Context(), t, "sh", "-c", script)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	p := s.client.startCmd(t, cmd)
	t.Cleanup(func() { unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }) // nmap too
	return p
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

// TestDecoysStay looks at the ports that are watched, over a restart and a reload: they stay
// the same, until a program listens on one of them.
func TestDecoysStay(t *testing.T) {
	t.Parallel()
	const config = `
[door.ssh]
ports           = [22]
sequence        = [7214, 8391, 6127]
otp_secret_file = %q
otp_base        = 20000
`
	s := newSite(t, ipv4)
	s.server.listenTCP(t, 22)
	file := writeConfig(t, fmt.Sprintf(config, newApp(t).file))
	watched := func() []uint16 { return s.server.portsIn(t, "knock_tcp") }

	d := startDaemonFile(t, s.server, file)
	first := watched()
	if len(first) != 32+3 {
		t.Fatalf("%d ports are watched, and it should be 32 decoys and 3 knocks: %v", len(first), first)
	}
	if slices.ContainsFunc(first, func(port uint16) bool { return port == 22 || 20000 <= port && port < 22000 }) {
		t.Errorf("a guarded port, or one that carries codes, is a decoy: %v", first)
	}
	d.cmd.Process.Signal(unix.SIGHUP)
	expectLine(t, d, "msg=reloaded")
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a reload, and %v were before", now, first)
	}
	d.stop(unix.SIGKILL)
	d = startDaemonFile(t, s.server, file)
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a restart, and %v were before", now, first)
	}

	isDecoy := func(port uint16) bool { return !slices.Contains(sshSequence, fmt.Sprint(port)) }
	taken := first[slices.IndexFunc(first, isDecoy)]
	s.server.listenTCP(t, taken)
	s.knock(t, s.stranger, fmt.Sprint(taken))
	expectLine(t, d, "a program listens on a decoy")
	second := watched()
	if slices.Contains(second, taken) || len(second) != len(first) {
		t.Errorf("%d is taken, and %v are watched", taken, second)
	}
	s.expectOpen(t, s.person, fmt.Sprint(taken))
	s.knock(t, s.person, fmt.Sprint(taken))
	s.expectNoPort(t, d)
	if strings.Contains(s.server.listRuleset(t), "decoy") {
		t.Error("the table tells of decoys")
	}
}
