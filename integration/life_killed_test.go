package integration

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilledAtAnyMoment kills the daemon over and over, at work and while it
// starts, and each time another one takes over. Nobody gets in who should not,
// and nobody who is in gets lost.
func TestKilledAtAnyMoment(t *testing.T) {
	size := sizeOfLife()
	eachWay(t, func(t *testing.T, s *site, config string) {
		intruder := startIntruder(t, s, size.tries)
		file := writeConfig(t, config)
		d := startReady(t, s.server, file)
		if strings.Contains(config, `"auto"`) {
			d.needOwned(t)
		}
		guarded := intruder.now()
		s.moveIn(t)
		visitors := startVisitors(t, s, knockRate)

		var worst, starting time.Duration
		for killed := 0; killed < size.kills; {
			time.Sleep(upTo(200 * time.Millisecond)) // at work
			d.kill(t)
			killed++
			before := s.register(t)
			if killed < size.kills && rand.IntN(2) == 0 {
				d = startUnit(t, s.server, file)
				time.Sleep(upTo(starting))
				d.kill(t)
				killed++
			}
			start := time.Now()
			d = startReady(t, s.server, file)
			starting = time.Since(start)
			worst = max(worst, s.expectSame(t, before, s.register(t)))
			if t.Failed() {
				t.Fatalf("after %d kills", killed)
			}
		}
		t.Logf("%d kills; the worst that happened to a resident's time: %v", size.kills, worst)

		visitors.leave(t)
		s.expectHearing(t, d)
		if r := s.register(t); r.passed > 0 || r.shutOut == 0 {
			t.Errorf("the gate has let %d packets in, and shut %d out", r.passed, r.shutOut)
		}
		intruder.expectSilence(t, guarded)
	})
}

// knockRate is how many knocks the visitors send a second, together. Each of them
// stays far below what the gate takes for a flood.
const knockRate = 250

// upTo returns a random time.
func upTo(d time.Duration) time.Duration { return time.Duration(rand.Float64() * float64(d)) }

// expectHearing makes sure that the daemon still lets people in, and puts them out.
func (s *site) expectHearing(t *testing.T, d *unit) {
	t.Helper()
	who := s.family.addr(2, others, 1)
	s.knock(t, who, studySequence...)
	s.waitIn(t, "study", who)
	s.knock(t, who, studyCloseSequence...)
	s.waitOut(t, "study", who)
	expectSecret(t, d.daemon, slices.Concat(sshSequence, wideSequence, briefSequence, studySequence))
}
