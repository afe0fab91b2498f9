package life

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// The configurations that are reloaded in turns differ in everything but the
// doors of lifeDoors.
var restOfLife = []string{`
[door.mail]
ports        = [25, "53:udp"]
sequence     = [6841, "5127:udp", 9233]
open_timeout = "10m"
`, `
[door.mail]
ports        = [25, 143]
sequence     = [9233, 6841, 5127, 6841]
seq_timeout  = "5s"
open_timeout = "1h"
shut         = "reject"
ipv4_prefix  = 24
ipv6_prefix  = 64

[door.web]
ports          = [443, "443:udp"]
sequence       = [4451, "6017:udp", 4451, 8853]
close_sequence = ["6017:udp", 8853, 7703]
`}

// TestReloads changes the configuration over and over, while people knock.
// Nobody gets in who should not, nobody who is in gets lost, and the knocks of
// those who are in the middle of a sequence count on.
func TestReloads(t *testing.T) {
	size := sizeOfLife()
	eachWay(t, func(t *testing.T, s *lab.Topology, config string) {
		prober := startProber(t, s, size.tries)
		monitor := startMonitor(t, s.Server)
		d := startReady(t, s.Server, lab.WriteConfig(t, config+restOfLife[0]))
		guarded := prober.now()
		moveIn(t, s)
		traffic := startTraffic(t, s, knockRate)
		waiters := waiters{topology: s}

		first := monitor.sync(t, s.Server)
		before := takeSnapshot(t, s)
		var worst time.Duration
		for n := range size.reloads {
			d.rewrite(t, config+restOfLife[(n+1)%2])
			if rand.IntN(2) == 0 { // else while the daemon is at it
				waiters.knock(t)
			}
			d.sighup(t, func() {
				if waiters.knocked == n {
					waiters.knock(t)
				}
			})
			if n%10 == 0 || n == size.reloads-1 {
				after := takeSnapshot(t, s)
				worst = max(worst, expectSame(t, s, before, after))
				before = after
			}
			if t.Failed() {
				t.Fatalf("after %d reloads", n+1)
			}
		}
		last := monitor.sync(t, s.Server)
		if n := countByDaemon(monitor.since(t, first)[:last-first]); n != size.reloads {
			t.Errorf("%d reloads were %d transactions, and each should be one", size.reloads, n)
		}
		lab.Eventually(t, "all reloads were accepted", func() bool {
			return strings.Count(d.Log(), "msg=reloaded") == size.reloads
		})
		t.Logf("%d reloads; the worst that happened to a resident's time: %v", size.reloads, worst)

		traffic.finish(t)
		waiters.expectIn(t)
		expectHearing(t, s, d)
		prober.expectSilence(t, guarded)
	})
}

// waiters knock once between two reloads.
type waiters struct {
	topology *lab.Topology
	knocked  int          // how often
	waiting  []netip.Addr // who has not knocked the whole sequence, the first the furthest
	done     []netip.Addr
}

// knock has each of them knock once more, and another one begin.
func (p *waiters) knock(t *testing.T) {
	t.Helper()
	p.waiting = append(p.waiting, p.topology.Family.Addr(3, byte(p.knocked), byte(p.knocked>>8)))
	p.knocked++
	for i, who := range p.waiting {
		p.topology.Knock(t, who, lab.SSHSequence[len(p.waiting)-1-i])
	}
	if len(p.waiting) == len(lab.SSHSequence) {
		p.done, p.waiting = append(p.done, p.waiting[0]), p.waiting[1:]
	}
}

// expectIn makes sure that all are in who have knocked the whole sequence.
func (p *waiters) expectIn(t *testing.T) {
	t.Helper()
	if len(p.done) == 0 {
		t.Error("nobody has knocked from one reload to the next: the test proves nothing")
	}
	var out []netip.Addr
	for deadline := time.Now().Add(entryTimeout); ; time.Sleep(lab.PollInterval) {
		in := takeSnapshot(t, p.topology).stays
		out = slices.DeleteFunc(slices.Clone(p.done), func(a netip.Addr) bool {
			_, is := in[stay{"ssh", netip.PrefixFrom(a, a.BitLen())}]
			return is
		})
		if len(out) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if len(out) > 0 {
		t.Errorf("%d of %d, who have knocked from one reload to the next, are not in: %v", len(out), len(p.done), out)
	}
}

// entryTimeout is how long after their last knock people may have to wait.
const entryTimeout = 5 * time.Second
