package functional

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestKnockWhileScanned has somebody knock 50 times while five hosts scan.
func TestKnockWhileScanned(t *testing.T) {
	t.Parallel()
	const times = 50
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)

	var scanning []*lab.Process
	for i := range lab.ScannerCount {
		from := s.AddScanner(t, i)
		scanning = append(scanning, s.ScanOnAndOn(t, from))
		lab.ExpectLine(t, d, "msg=scan", from.String()) // it is under way
	}
	for n := 1; n <= times; n++ {
		s.RunKnock(t, "20", lab.SSHSequence...)
		lab.Eventually(t, fmt.Sprintf("knock %d of %d lets in", n, times), func() bool {
			return strings.Count(d.Log(), "granted") == n
		})
	}
	if slices.ContainsFunc(scanning, (*lab.Process).Ended) {
		t.Error("a host has stopped scanning")
	}
	s.ExpectOpen(t, s.Source, "22")
	if in := s.Entries(t, "ssh"); len(in) != 1 {
		t.Errorf("%v are in, and it should be one", in)
	}
}
