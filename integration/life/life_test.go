package life

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

var (
	lifeFull  = flag.Bool("life.full", false, "test the daemon's life for minutes instead of seconds")
	lifeClock = flag.Bool("life.clock", false, "let a test set this machine's clock, for less than a second")
)

// A lifeSize says how much is done to a daemon in a test.
type lifeSize struct {
	kills, reloads, removers int
	tries                    int // of the prober, a second
}

func sizeOfLife() lifeSize {
	if *lifeFull {
		return lifeSize{kills: 100, reloads: 1000, removers: 100, tries: 10_000}
	}
	return lifeSize{kills: 10, reloads: 50, removers: 5, tries: 1000}
}

// lifeDoors has a door of every kind: one that most people use, one that lets
// whole networks in for as long as they like, one that opens for seconds, and one
// that can be closed. Of the others no lost knock makes another sequence.
const lifeDoors = `
[door.ssh]
ports        = [22]
sequence     = [7214, 8391, 6127]
seq_timeout  = "2m"
open_timeout = "10m"

[door.wide]
ports        = [22]
sequence     = [5303, "4871:udp", 7519]
open_timeout = "forever"
ipv4_prefix  = 24
ipv6_prefix  = 64

[door.brief]
ports        = [22]
sequence     = [9631, 3327, 8127]
open_timeout = "2s"

[door.study]
ports          = [22]
sequence       = [6397, 7883, "7103:udp"]
close_sequence = ["7103:udp", 6397, 6397]
`

var (
	wideSequence       = []string{"5303", "4871:udp", "7519"}
	briefSequence      = []string{"9631", "3327", "8127"}
	studySequence      = []string{"6397", "7883", "7103:udp"}
	studyCloseSequence = []string{"7103:udp", "6397", "6397"}
)

// lifeWays are the two ways in which a daemon keeps its table, each tried with
// another family.
var lifeWays = []struct {
	own    string
	family lab.Family
}{
	{"auto", lab.IPv4},
	{"no", lab.IPv6},
}

// eachWay runs a test for both ways, beside all others. The configuration it
// gets is lifeDoors with own_table.
func eachWay(t *testing.T, test func(t *testing.T, s *lab.Topology, config string)) {
	t.Parallel()
	for _, way := range lifeWays {
		t.Run("own_table="+way.own, func(t *testing.T) {
			t.Parallel()
			test(t, newLifeTopology(t, way.family), fmt.Sprintf("own_table = %q\n%s", way.own, lifeDoors))
		})
	}
}

// newLifeTopology returns a topology whose client is all of net 2, too, and whose server
// answers on port 22.
func newLifeTopology(t *testing.T, f lab.Family) *lab.Topology {
	t.Helper()
	s := lab.NewTopology(t, f)
	s.Client.Run(t, "ip", "route", "add", "local", fmt.Sprintf("%v/%d", f.Addr(2, 0, 0), f.WireLen()), "dev", "lo")
	s.Server.Route(t, f.Addr(2, 0, 0), s.Source)
	l := s.Server.ListenTCP(t, 22)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return s
}

// needOwned skips a test where the kernel has no tables that are owned and
// persist. Where it has them the daemon must own its table.
func (u *unit) needOwned(t *testing.T) {
	t.Helper()
	lab.ExpectLine(t, u.Daemon, "guarding", "owned=")
	switch able := lab.CanPersist(t); {
	case able && !u.owned():
		t.Fatal("this kernel has tables that persist, and the daemon does not own its")
	case !able:
		t.Skip("this kernel has no tables that are owned and persist: Linux 6.9 or newer")
	}
}

// needLatch skips a test where tables cannot have an owner. Where they can there must be a latch.
func (u *unit) needLatch(t *testing.T) {
	t.Helper()
	if !lab.CanOwn(t) {
		t.Skip("this kernel has no tables with an owner: Linux 5.12 or newer")
	}
	if u.owned() || !strings.Contains(string(u.Host.Run(t, "nft", "list", "tables")), lab.GateTable+"_latch") {
		t.Fatal("the daemon keeps no latch")
	}
}
