package functional

import (
	"net/netip"
	"testing"

	"nftknock/integration/lab"
)

// TestServiceOnKnockPort has a web server on a knock port. Others use it without harm, and
// so does who knocks if it is the first port. Otherwise his own use of it amid his knock counts
// as a knock.
func TestServiceOnKnockPort(t *testing.T) {
	const config = `
[door.first]
ports        = [22]
sequence     = [80, 7214, 8391]
open_timeout = "10m"

[door.later]
ports        = [23]
sequence     = [7215, 81, 6127]
open_timeout = "10m"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		for _, port := range []uint16{80, 81} {
			s.Server.ServeBanner(t, port)
		}
		d := lab.StartDaemon(t, s.Server, config)
		connect := func(port uint16, who ...netip.Addr) {
			t.Helper()
			for _, from := range who {
				if !s.Client.Reaches(netip.AddrPortFrom(from, 0), netip.AddrPortFrom(s.Addr, port), lab.Timeout) {
					t.Fatalf("the server on port %d does not answer %v", port, from)
				}
			}
		}
		knock := func(between func(), knocks ...string) {
			t.Helper()
			between()
			for _, k := range knocks {
				s.Knock(t, s.Source, k)
				between()
			}
		}
		others := func() { connect(80, s.Neighbour, s.Stranger); connect(81, s.Neighbour, s.Stranger) }

		knock(others, "80", "7214", "8391")
		s.WaitIn(t, "first", s.Source)
		knock(others, "7215", "81", "6127")
		s.WaitIn(t, "later", s.Source)
		d.Tell(t, "close", "first", "--all")
		d.Tell(t, "close", "later", "--all")

		// The one who knocks is a user, too: as behind one address with others.
		knock(func() { connect(80, s.Source) }, "80", "7214", "8391")
		s.WaitIn(t, "first", s.Source)
		connect(81, s.Source, s.Source)
		s.Knock(t, s.Source, "7215", "81")
		connect(81, s.Source)
		s.Knock(t, s.Source, "6127")
		lab.ExpectWords(t, "why", func() string { return d.Tell(t, "why", s.Source.String()) }, "wrong knock", "door later", "2 of 3")
		s.ExpectOut(t, "later", s.Source)
		s.Knock(t, s.Source, "7215", "81", "6127")
		s.WaitIn(t, "later", s.Source)
	})
}
