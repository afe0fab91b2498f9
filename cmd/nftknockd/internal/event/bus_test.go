package event

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func watch(t *testing.T, bus *Bus) *Watcher {
	t.Helper()
	w, err := bus.Watch(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// seen returns what a watcher is sent, in short.
func (w *Watcher) seen() []string {
	var seen []string
	for {
		select {
		case e := <-w.events:
			seen = append(seen, fmt.Sprintf("%s %s %s", e.Kind, e.Door, e.Source))
		default:
			return seen
		}
	}
}

func granted(source string, d time.Duration) Event {
	return Event{Kind: Granted, Door: "ssh", Source: source, Until: time.Now().Add(d)}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := NewBus()
		bus.Publish(granted("renewed", time.Hour))
		bus.Present([]Event{granted("in before", time.Minute), granted("renewed", time.Second)})
		w := watch(t, bus)
		bus.Publish(granted("short", time.Second))
		bus.Publish(granted("revoked", time.Second))
		bus.Publish(Event{Kind: Revoked, Door: "ssh", Source: "revoked"})
		bus.Publish(granted("longer", time.Second))
		bus.Publish(granted("longer", time.Minute))
		bus.Publish(granted("shorter", time.Hour))
		bus.Publish(granted("shorter", time.Minute))
		bus.Publish(Event{Kind: Granted, Door: "ssh", Source: "forever"})
		bus.Publish(Event{Kind: Granted, Door: "gone", Source: "x", Until: time.Now().Add(time.Second)})
		bus.Publish(Event{Kind: Reloaded, Doors: []string{"ssh"}})
		w.seen()

		for _, step := range []struct {
			pass time.Duration
			want []string
		}{
			{999 * time.Millisecond, nil},
			{time.Millisecond, []string{"expired ssh short"}},
			{time.Minute, []string{"expired ssh in before", "expired ssh longer", "expired ssh shorter"}},
			{time.Hour, []string{"expired ssh renewed"}},
		} {
			time.Sleep(step.pass)
			synctest.Wait()
			got := w.seen()
			slices.Sort(got)
			if !slices.Equal(got, step.want) {
				t.Errorf("after %v: %q, want %q", step.pass, got, step.want)
			}
		}
		w.Close()
	})
}

// However often somebody renews their time, what is remembered of it is bounded.
func TestExpiryIsBounded(t *testing.T) {
	bus := NewBus()
	defer watch(t, bus).Close()
	for range 100_000 {
		bus.Publish(granted("203.0.113.7", time.Hour))
	}
	if n := len(bus.expiry.queue); n > 2048 {
		t.Errorf("%d ends are remembered of one source", n)
	}
}

func TestSlowWatcher(t *testing.T) {
	bus := NewBus()
	slow, quick := watch(t, bus), watch(t, bus)
	defer slow.Close()
	defer quick.Close()
	for range backlog + 7 {
		bus.Publish(Event{Kind: Scan})
		if got := quick.seen(); len(got) != 1 {
			t.Fatalf("the quick one is sent %q", got)
		}
	}
	if got := slow.seen(); len(got) != backlog {
		t.Errorf("%d events, want %d", len(got), backlog)
	}
	bus.Publish(Event{Kind: Reloaded})
	if missed, next := <-slow.Events(), <-slow.Events(); missed.Kind != Missed || missed.Count != 7 || next.Kind != Reloaded {
		t.Errorf("then %+v, %+v", missed, next)
	}
}

// What is not wanted takes no room from what is.
func TestWatchForKinds(t *testing.T) {
	bus := NewBus()
	w, err := bus.Watch([]Kind{Granted, Degraded})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 * backlog {
		bus.Publish(Event{Kind: Scan})
	}
	bus.Publish(Event{Kind: Granted, Door: "ssh", Source: "x"})
	if got := w.seen(); !slices.Equal(got, []string{"granted ssh x"}) {
		t.Errorf("%q", got)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	bus := NewBus()
	for range maxListeners {
		defer watch(t, bus).Close()
	}
	if _, err := bus.Watch(nil); err != ErrTooMany {
		t.Error(err)
	}
}

func subscribe(t *testing.T, bus *Bus, after string, kinds ...Kind) *Subscription {
	t.Helper()
	s, err := bus.Subscribe(after, kinds...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Whoever reads when, and resumes how often, receives each event once, in order.
func TestSubscriptionResumes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bus := NewBus()
		s := subscribe(t, bus, Now)
		defer func() { s.Close() }()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		last, published, read := "", 0, 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0:
				published++
				kind := rapid.SampledFrom([]Kind{Granted, Scan, Refused, Revoked}).Draw(rt, "kind")
				bus.Publish(Event{Kind: kind, Count: uint64(published)})
			case 1:
				if last != "" {
					s.Close()
					s = subscribe(t, bus, last)
				}
			default:
				e, err := s.Next(ended)
				if read == published {
					if err != context.Canceled {
						rt.Fatalf("%+v, %v", e, err)
					}
					continue
				}
				read++
				if err != nil || e.Count != uint64(read) {
					rt.Fatalf("%+v, %v, want number %d", e, err, read)
				}
				last = e.ID
			}
		}
	})
}

func TestSubscriptionWaits(t *testing.T) {
	bus := NewBus()
	s := subscribe(t, bus, Now)
	defer s.Close()
	go bus.Publish(Event{Kind: Granted})
	if e, err := s.Next(t.Context()); err != nil || e.Kind != Granted {
		t.Errorf("%+v, %v", e, err)
	}
}

// A flood of scans leaves grants to those who are interrupted, and tells those who
// wanted the scans.
func TestSubscriptionUnderAFlood(t *testing.T) {
	bus := NewBus()
	all, grants := subscribe(t, bus, Now), subscribe(t, bus, Now, Granted, Revoked)
	defer all.Close()
	defer grants.Close()
	bus.Publish(Event{Kind: Granted, Count: 1})
	first, err := grants.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bus.Publish(Event{Kind: Granted, Count: 2})
	for range 3 * replay {
		bus.Publish(Event{Kind: Scan})
	}
	bus.Publish(Event{Kind: Revoked, Count: 3})

	again := subscribe(t, bus, first.ID, Granted, Revoked)
	defer again.Close()
	for _, want := range []uint64{2, 3} {
		if e, err := again.Next(t.Context()); err != nil || e.Count != want {
			t.Errorf("%+v, %v, want number %d", e, err, want)
		}
	}
	if _, err := bus.Subscribe(first.ID); err != ErrGone {
		t.Errorf("resumed with scans: %v", err)
	}
	if _, err := all.Next(t.Context()); err != ErrGap {
		t.Errorf("behind: %v", err)
	}
	seen := map[Kind]int{}
	for range replay + 3 {
		e, err := all.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Kind]++
	}
	if seen[Granted] != 2 || seen[Revoked] != 1 || seen[Scan] != replay {
		t.Errorf("after the gap: %v", seen)
	}
}

func TestSubscriptionElsewhere(t *testing.T) {
	bus, restarted := NewBus(), NewBus()
	s := subscribe(t, bus, Now)
	defer s.Close()
	bus.Publish(Event{Kind: Granted})
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := bus.history.runs[0].name
	for _, id := range []string{e.ID, "x", "-", name + "-2", name + "-x", ""} {
		b := bus
		if id == e.ID {
			b = restarted
		}
		if _, err := b.Subscribe(id); err != ErrGone {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Those who subscribe to expiry are told of it, with the other events.
func TestSubscriptionToExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := NewBus()
		s := subscribe(t, bus, Now, Granted, Expired)
		defer s.Close()
		bus.Publish(granted("203.0.113.7", time.Minute))
		for _, want := range []Kind{Granted, Expired} {
			if e, err := s.Next(t.Context()); err != nil || e.Kind != want || e.ID == "" {
				t.Errorf("%+v, %v, want %s", e, err, want)
			}
		}
	})
}
