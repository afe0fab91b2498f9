package knock

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Outcome is what a knock did to an attempt, or what became of one.
type Outcome uint8

const (
	Advanced   Outcome = iota + 1 // the knock counts
	WrongKnock                    // the knock is the sequence's, but not the next one: all attempts start over
	TooSlow                       // the attempt has run out of time
	Ignored                       // the source is muted, and the knock was not looked at
)

func (o Outcome) String() string {
	switch o {
	case Advanced:
		return "advanced"
	case WrongKnock:
		return "wrong knock"
	case TooSlow:
		return "too slow"
	case Ignored:
		return "muted"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// A Step is one step of an attempt. It never tells a port.
type Step struct {
	Time    time.Time // when the packet arrived that led to it; of TooSlow, when the time was over
	Source  netip.Addr
	Outcome Outcome

	Door   *Door  // nil if Ignored
	Action Action // of the sequence
	Count  int    // how many knocks have counted; for WrongKnock and TooSlow, had counted
	Of     int    // how many there are in the sequence
}

// A Trace is what the tracker remembers of a source.
type Trace struct {
	// MutedUntil is when the source is listened to again; zero if it is not muted.
	MutedUntil time.Time

	UnderWay []Step // the attempts that have not run out of time, the furthest first
	Failed   []Step // how attempts ended, the latest first; at most MaxTrace
}

// MaxTrace is how many failures of a source are shown.
const MaxTrace = 16

// failures is how many failures are remembered, of all sources: as many of those who had
// knocked once or not at all, and as many of others, so that a flood of strangers does not
// erase what is known of people.
const failures = 1024

// A ring keeps the latest steps.
type ring struct {
	steps []Step
	next  int
}

func (r *ring) add(s *Step) {
	if len(r.steps) < failures {
		r.steps = append(r.steps, *s)
		return
	}
	r.steps[r.next] = *s
	r.next = (r.next + 1) % failures
}

// latest calls yield for the steps, the latest first.
func (r *ring) latest(yield func(*Step) bool) {
	for i := range r.steps {
		if !yield(&r.steps[(r.next-1-i+2*len(r.steps))%len(r.steps)]) {
			return
		}
	}
}

// Watch has the tracker call f with every step, from within Observe, or with none if f is
// nil. It must not call the tracker.
func (t *Tracker) Watch(f func(Step)) { t.watcher = f }

// wrongKnock notes that a knock has ended an attempt, or was one that none waited for.
func (t *Tracker) wrongKnock(s *sequence, source netip.Addr, count int32) {
	t.fail(Step{t.epoch.Add(t.now), source, WrongKnock, s.door, s.action, int(count), s.len()})
}

// tooSlow returns how an attempt ended that has run out of time, whenever that is noticed.
func (t *Tracker) tooSlow(s *sequence, source netip.Addr, a *attempt) Step {
	return Step{t.epoch.Add(a.at + s.timeout), source, TooSlow, s.door, s.action, int(a.step), s.len()}
}

// fail notes how an attempt ended.
func (t *Tracker) fail(step Step) {
	if step.Count > 1 {
		t.failedFurther.add(&step)
	} else {
		t.failedBegun.add(&step)
	}
	if t.watcher != nil {
		t.watcher(step)
	}
}

// Trace returns what the tracker remembers of a source at a time.
func (t *Tracker) Trace(at time.Time, source netip.Addr) Trace {
	var trace Trace
	now := max(t.now, at.Sub(t.epoch))
	if muted, since := t.muted.find(source, t.keys, now); muted {
		trace.MutedUntil = t.epoch.Add(since + t.muted.mute)
	}
	for id := range t.sequences {
		s := &t.sequences[id]
		k := t.keys.of(source, int32(id))
		for a := t.attempts.find(&k, t.attempts.index.hash(k)); a != none; a = t.attempts.at(a).elder {
			attempt := t.attempts.at(a)
			switch {
			case attempt.complete:
				continue
			case now-attempt.at > s.timeout:
				trace.Failed = append(trace.Failed, t.tooSlow(s, source, attempt))
				continue
			}
			trace.UnderWay = append(trace.UnderWay, Step{
				Time: t.epoch.Add(attempt.at), Source: source, Outcome: Advanced,
				Door: s.door, Action: s.action, Count: int(attempt.step), Of: s.len(),
			})
		}
	}
	for _, r := range []*ring{&t.failedFurther, &t.failedBegun} {
		for step := range r.latest {
			if step.Source == source {
				trace.Failed = append(trace.Failed, *step)
			}
		}
	}
	slices.SortStableFunc(trace.UnderWay, func(a, b Step) int { return cmp.Compare(b.Count, a.Count) })
	slices.SortStableFunc(trace.Failed, func(a, b Step) int { return b.Time.Compare(a.Time) })
	trace.Failed = trace.Failed[:min(len(trace.Failed), MaxTrace)]
	return trace
}
