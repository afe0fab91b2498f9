package event

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func nobody() []Event { return nil }

func watch(t *testing.T, h *Hub, people func() []Event) *Watcher {
	t.Helper()
	w, err := h.Watch(nil, people)
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

func letIn(source string, d time.Duration) Event {
	return Event{Kind: LetIn, Door: "ssh", Source: source, Until: time.Now().Add(d)}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hub
		h.Publish(letIn("nobody watches", time.Second))
		w := watch(t, &h, func() []Event {
			h.Publish(letIn("renewed", time.Hour)) // since the kernel was asked
			return []Event{letIn("in before", time.Minute), letIn("renewed", time.Second)}
		})
		second := watch(t, &h, func() []Event { t.Error("asked again"); return nil })
		second.Close()
		h.Publish(letIn("short", time.Second))
		h.Publish(letIn("put out", time.Second))
		h.Publish(Event{Kind: PutOut, Door: "ssh", Source: "put out"})
		h.Publish(letIn("longer", time.Second))
		h.Publish(letIn("longer", time.Minute))
		h.Publish(letIn("shorter", time.Hour))
		h.Publish(letIn("shorter", time.Minute))
		h.Publish(Event{Kind: LetIn, Door: "ssh", Source: "forever"})
		h.Publish(Event{Kind: LetIn, Door: "gone", Source: "x", Until: time.Now().Add(time.Second)})
		h.Publish(Event{Kind: Reloaded, Doors: []string{"ssh"}})
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
	var h Hub
	defer watch(t, &h, nobody).Close()
	for range 100_000 {
		h.Publish(letIn("203.0.113.7", time.Hour))
	}
	if n := len(h.expiry.queue); n > 2048 {
		t.Errorf("%d ends are remembered of one source", n)
	}
}

func TestSlowWatcher(t *testing.T) {
	var h Hub
	slow, quick := watch(t, &h, nobody), watch(t, &h, nobody)
	defer slow.Close()
	defer quick.Close()
	for range backlog + 7 {
		h.Publish(Event{Kind: Scan})
		if got := quick.seen(); len(got) != 1 {
			t.Fatalf("the quick one is sent %q", got)
		}
	}
	if got := slow.seen(); len(got) != backlog {
		t.Errorf("%d events, want %d", len(got), backlog)
	}
	h.Publish(Event{Kind: Reloaded})
	if missed, next := <-slow.Events(), <-slow.Events(); missed.Kind != Missed || missed.Count != 7 || next.Kind != Reloaded {
		t.Errorf("then %+v, %+v", missed, next)
	}
}

// What is not wanted takes no room from what is.
func TestWatchForKinds(t *testing.T) {
	var h Hub
	w, err := h.Watch([]Kind{LetIn, Amiss}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 * backlog {
		h.Publish(Event{Kind: Scan})
	}
	h.Publish(Event{Kind: LetIn, Door: "ssh", Source: "x"})
	if got := w.seen(); !slices.Equal(got, []string{"let in ssh x"}) {
		t.Errorf("%q", got)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	var h Hub
	for range maxWatchers {
		defer watch(t, &h, nobody).Close()
	}
	if _, err := h.Watch(nil, nobody); err != errWatchers {
		t.Error(err)
	}
}
