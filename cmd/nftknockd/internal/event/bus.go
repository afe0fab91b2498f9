package event

import (
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxWatchers = 16
	// backlog is how many events a watcher may be behind.
	backlog = 1024
)

// A Hub hands events to whoever watches. It waits for nobody. The zero value is
// ready to be used.
type Hub struct {
	mu       sync.Mutex
	watchers map[*Watcher]bool
	expiry   expiry // runs while somebody watches
}

// A Watcher receives the events since it began to watch.
type Watcher struct {
	hub    *Hub
	kinds  []Kind // that are wanted; empty: all
	events chan Event
	missed uint64 // of these, that did not fit; guarded by the hub's lock
}

var errWatchers = errors.New("too many are watching already: end one of them")

// Watch begins to watch for the kinds, or for all if there are none. The people are
// those who are let in at that moment, whose expiry the Hub would not know of
// otherwise; they are asked for if nobody else watches.
func (h *Hub) Watch(kinds []Kind, people func() []Event) (*Watcher, error) {
	w := &Watcher{hub: h, kinds: kinds, events: make(chan Event, backlog)}
	h.mu.Lock()
	if len(h.watchers) == maxWatchers {
		h.mu.Unlock()
		return nil, errWatchers
	}
	if h.watchers == nil {
		h.watchers = make(map[*Watcher]bool)
	}
	first := len(h.watchers) == 0
	h.watchers[w] = true
	if first {
		h.expiry.begin(h.expire)
	}
	h.mu.Unlock()

	if first {
		in := people() // takes its time
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, e := range in {
			if !h.expiry.knows(e) { // what has happened since is newer
				h.expiry.note(e)
			}
		}
	}
	return w, nil
}

// Events delivers what happens. Where events were missed one of that kind says how
// many.
func (w *Watcher) Events() <-chan Event { return w.events }

// Close ends the watch.
func (w *Watcher) Close() {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	if len(h.watchers) == 0 {
		h.expiry.end()
	}
}

// Publish hands an event to all who watch. Its Time is now unless it is set.
func (h *Hub) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) == 0 {
		return
	}
	h.expiry.note(e)
	h.send(e)
}

// expire is called when somebody's time may be over.
func (h *Hub) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.expiry.over(time.Now()) {
		h.send(e)
	}
}

func (h *Hub) send(e Event) {
	for w := range h.watchers {
		if len(w.kinds) > 0 && !slices.Contains(w.kinds, e.Kind) {
			continue
		}
		if w.missed > 0 {
			select {
			case w.events <- Event{Time: e.Time, Kind: Missed, Count: w.missed}:
				w.missed = 0
			default:
			}
		}
		select {
		case w.events <- e:
		default:
			w.missed++
		}
	}
}
