package life

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestKilledAtAnyMoment kills the daemon over and over, at work and while it
// starts, and each time another one takes over. Nobody gets in who should not,
// and nobody who is in gets lost.
func TestKilledAtAnyMoment(t *testing.T) {
	size := sizeOfLife()
	eachWay(t, func(t *testing.T, s *lab.Topology, config string) {
		prober := startProber(t, s, size.tries)
		file := lab.WriteConfig(t, config)
		d := startReady(t, s.Server, file)
		if strings.Contains(config, `"auto"`) {
			d.needOwned(t)
		}
		guarded := prober.now()
		moveIn(t, s)
		traffic := startTraffic(t, s, knockRate)

		var worst, starting time.Duration
		for killed := 0; killed < size.kills; {
			time.Sleep(upTo(200 * time.Millisecond)) // at work
			d.kill(t)
			killed++
			before := takeSnapshot(t, s)
			if killed < size.kills && rand.IntN(2) == 0 {
				d = startUnit(t, s.Server, file)
				time.Sleep(upTo(starting))
				d.kill(t)
				killed++
			}
			start := time.Now()
			d = startReady(t, s.Server, file)
			starting = time.Since(start)
			worst = max(worst, expectSame(t, s, before, takeSnapshot(t, s)))
			if t.Failed() {
				t.Fatalf("after %d kills", killed)
			}
		}
		t.Logf("%d kills; the worst that happened to a resident's time: %v", size.kills, worst)

		traffic.finish(t)
		expectHearing(t, s, d)
		if r := takeSnapshot(t, s); r.passed > 0 || r.shutOut == 0 {
			t.Errorf("the gate has let %d packets in, and shut %d out", r.passed, r.shutOut)
		}
		prober.expectSilence(t, guarded)
	})
}

// knockRate is how many knocks the knockers send a second, together. Each of them
// stays far below what the gate takes for a flood.
const knockRate = 250

// upTo returns a random time.
func upTo(d time.Duration) time.Duration { return time.Duration(rand.Float64() * float64(d)) }

// expectHearing makes sure that the daemon still lets people in, and puts them out.
func expectHearing(t *testing.T, s *lab.Topology, d *unit) {
	t.Helper()
	who := s.Family.Addr(2, others, 1)
	s.Knock(t, who, studySequence...)
	s.WaitIn(t, "study", who)
	s.Knock(t, who, studyCloseSequence...)
	s.WaitOut(t, "study", who)
	lab.ExpectSecret(t, d.Daemon, slices.Concat(lab.SSHSequence, wideSequence, briefSequence, studySequence))
}
