package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestKnockWhileScanned has somebody knock 50 times while five hosts scan.
func TestKnockWhileScanned(t *testing.T) {
	t.Parallel()
	const times = 50
	s := NewTopology(t, IPv4)
	s.Server.ListenTCP(t, 22)
	d := StartDaemon(t, s.Server, SSHDoor)

	var scanning []*Process
	for i := range ScannerCount {
		from := s.AddScanner(t, i)
		scanning = append(scanning, s.ScanOnAndOn(t, from))
		ExpectLine(t, d, "msg=scan", from.String()) // it is under way
	}
	for n := 1; n <= times; n++ {
		s.Client.Run(t, "knock", append([]string{"-d", "20", s.Addr.String()}, SSHSequence...)...)
		Eventually(t, fmt.Sprintf("knock %d of %d lets in", n, times), func() bool {
			return strings.Count(d.Log(), "let in") == n
		})
	}
	if slices.ContainsFunc(scanning, (*Process).Ended) {
		t.Error("a host has stopped scanning")
	}
	s.ExpectOpen(t, s.Person, "22")
	if in := s.Entries(t, "ssh"); len(in) != 1 {
		t.Errorf("%v are in, and it should be one", in)
	}
}
