package gate

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/knock"
)

// Strangers can cause any number of steps. Of those of a second so many are shown, apart
// for attempts that have counted one knock at most, and for those further on: a flood of
// strangers hides nobody who knows a sequence.
const (
	stepsShown = 32
	stepsOver  = time.Second
)

// A follower receives the steps of attempts. But for its watcher it is guarded by the
// gate's state.
type follower struct {
	watcher *event.Watcher
	source  netip.Prefix // whose; everybody's if it is not valid

	shown   [2]int // in this second
	leftOut uint64
	second  *time.Timer
	running bool
}

// Follow begins to watch what happens, as [Gate.Watch] does, and the steps of attempts with
// it: of a source, or of everybody if that is not valid. It ends with end, instead of the
// watcher's Close. Steps are told only while somebody follows them.
func (g *Gate) Follow(source netip.Prefix, kinds ...event.Kind) (w *event.Watcher, end func(), err error) {
	w, err = g.Watch(kinds...)
	if err != nil {
		return nil, nil, err
	}
	f := &follower{watcher: w, source: source}
	f.second = time.AfterFunc(stepsOver, func() { g.endSecond(f) })
	f.second.Stop()
	g.state.Lock()
	defer g.unlock()
	g.state.followers = append(g.state.followers, f)
	g.state.tracker.Watch(g.state.stepped)
	return w, func() { g.unfollow(f) }, nil
}

func (g *Gate) unfollow(f *follower) {
	s := &g.state
	s.Lock()
	s.followers = slices.DeleteFunc(s.followers, func(other *follower) bool { return other == f })
	if len(s.followers) == 0 {
		s.tracker.Watch(nil)
	}
	f.second.Stop()
	g.unlock()
	f.watcher.Close()
}

// stepped queues a step for those who follow its source. The lock is held.
func (s *state) stepped(step knock.Step) {
	var e event.Event
	for _, f := range s.followers {
		if !f.takes(step) {
			continue
		}
		if e.Kind == "" {
			e = attemptEvent(step)
		}
		s.outbox = append(s.outbox, outgoing{e, f.watcher})
	}
}

// takes reports whether a step is to be shown. Steps that are left out are counted.
func (f *follower) takes(step knock.Step) bool {
	if f.source.IsValid() && !f.source.Contains(step.Source.WithZone("")) {
		return false
	}
	if !f.running {
		f.running = true
		f.second.Reset(stepsOver)
	}
	further := 0
	if step.Count > 1 {
		further = 1
	}
	if f.shown[further] >= stepsShown {
		f.leftOut++
		return false
	}
	f.shown[further]++
	return true
}

// endSecond tells how many steps were left out, and shows the next ones.
func (g *Gate) endSecond(f *follower) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	if f.leftOut > 0 {
		s.outbox = append(s.outbox, outgoing{event.Event{Time: time.Now(), Kind: event.LeftOut, Count: f.leftOut}, f.watcher})
	}
	f.shown, f.leftOut, f.running = [2]int{}, 0, false
}

// attemptEvent returns the event that tells a step.
func attemptEvent(step knock.Step) event.Event {
	e := event.Event{Time: wallTime(step.Time), Kind: event.Attempt, Source: step.Source.String(), Step: event.StepOf(step)}
	if step.Door != nil {
		e.Door = step.Door.Name
	}
	return e
}

// wallTime returns a time of the tracker's, which is on the monotonic clock, by the wall
// clock as it is now.
func wallTime(t time.Time) time.Time { return time.Now().Add(time.Until(t)).Round(0) }
