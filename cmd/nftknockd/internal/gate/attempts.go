package gate

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/knock"
)

// A follower receives the steps of attempts. But for its watcher it is guarded by the
// gate's state.
type follower struct {
	watcher *event.Watcher
	source  netip.Prefix // whose; everybody's if it is not valid
	pace    *event.Pace
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
	f.pace = event.NewPace(func() { g.endSecond(f) })
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
	f.pace.Stop()
	g.unlock()
	f.watcher.Close()
}

// stepped queues a step for those who follow its source. The lock is held.
func (s *state) stepped(step knock.Step) {
	var e event.Event
	for _, f := range s.followers {
		if f.source.IsValid() && !f.source.Contains(step.Source.WithZone("")) || !f.pace.Takes(step) {
			continue
		}
		if e.Kind == "" {
			e = event.AttemptOf(step)
		}
		s.outbox.AddFor(f.watcher, e)
	}
}

// endSecond tells how many steps were left out, and shows the next ones.
func (g *Gate) endSecond(f *follower) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	if leftOut := f.pace.EndSecond(); leftOut > 0 {
		s.outbox.AddFor(f.watcher, event.Event{Time: time.Now(), Kind: event.LeftOut, Count: leftOut})
	}
}
