package functional

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestMetricsTellNothing has a local user, who may read the metrics but not the
// configuration, send single packets and look what moves: nothing may tell a port of the
// sequence, or the right one after another, from any other port.
func TestMetricsTellNothing(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	lab.StartDaemon(t, s.Server, "[metrics]\nlisten = \"127.0.0.1:9722\"\n"+lab.SSHDoor)
	read := func() string {
		var c net.Conn
		err := s.Server.In(func() (err error) { c, err = net.Dial("tcp", "127.0.0.1:9722"); return err })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return aboutKnocks(get(t, c, "/metrics"))
	}
	before := read()
	for n, probe := range [][]string{
		{"7214"},         // the first of the sequence
		{"7214", "8391"}, // and the second
		{"8391"},         // the second alone
		{"7214", "6127"}, // the third too early
		{"1234"},         // nobody's
		{"22"},           // the guarded port
	} {
		s.Knock(t, s.Family.Addr(1, 50, byte(n+1)), probe...)
		// A counter that moves does so at once: what is slower than this can't be
		// told from other people's packets.
		deadline := time.Now().Add(500 * time.Millisecond)
		for time.Now().Before(deadline) {
			after := read()
			if diff := moved(before, after); diff != "" {
				t.Errorf("a SYN to each of %v moves\n%s", probe, diff)
				before = after
				break
			}
			time.Sleep(lab.PollInterval)
		}
	}
}

// aboutKnocks returns what metrics tell of the gate, and not of its process.
func aboutKnocks(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "nftknock_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// moved returns the lines that are others than before.
func moved(before, after string) string {
	was := slices.Collect(strings.Lines(before))
	var b strings.Builder
	for line := range strings.Lines(after) {
		if !slices.Contains(was, line) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestTimeOfRST prints how well the time that a port takes to answer tells the ports that are
// watched from other closed ones. It is a measurement: there is no time that would be wrong.
func TestTimeOfRST(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for seconds")
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, f.Addr(1, 20, 1))
		const rounds = 200
		var watched, closed []time.Duration
		for n := range rounds {
			// Each port after the other, in an order of its own each time, slower than a
			// source may knock.
			ports := []uint16{7214, 23}
			if n%2 == 1 {
				slices.Reverse(ports)
			}
			for _, port := range ports {
				d := timeOfRST(t, l, netip.AddrPortFrom(who, uint16(10000+n)), netip.AddrPortFrom(s.Addr, port))
				if port == 23 {
					closed = append(closed, d)
				} else {
					watched = append(watched, d)
				}
				time.Sleep(12 * time.Millisecond)
			}
		}
		t.Logf("watched: median %v, closed: median %v", middle(watched), middle(closed))
		for _, samples := range []int{20, 100} {
			t.Logf("%d samples of each tell them apart in %.1f %% (50 %% is a guess)", samples, 100*toldApart(watched, closed, samples))
		}
	})
}

// timeOfRST returns how long a port takes to answer a SYN by RST.
func timeOfRST(t testing.TB, l *lab.Link, from, to netip.AddrPort) time.Duration {
	t.Helper()
	syn := lab.SYNOf(from, to, rand.Uint32())
	start := time.Now()
	l.Send(t, syn.Datagram())
	if _, ok := l.Receive(t, lab.Timeout, func(a lab.Received) bool { return a.IsSegmentTo(from) && a.Source() == to.Port() }); !ok {
		t.Fatalf("%v does not answer", to)
	}
	return time.Since(start)
}

// toldApart returns how often the median of some times of one port is greater than that of as
// many of the other, drawn again and again.
func toldApart(slow, fast []time.Duration, samples int) float64 {
	const draws = 2000
	right := 0
	draw := func(from []time.Duration) time.Duration {
		some := make([]time.Duration, samples)
		for i := range some {
			some[i] = from[rand.IntN(len(from))]
		}
		return middle(some)
	}
	for range draws {
		if draw(slow) > draw(fast) {
			right++
		}
	}
	return float64(right) / draws
}

func middle(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }
