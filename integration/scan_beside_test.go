package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scanners is how many hosts scan at once.
const scanners = 5

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
			return strings.Count(d.log(), "granted") == n
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
