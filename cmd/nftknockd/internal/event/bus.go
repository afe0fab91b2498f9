package event

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxListeners bounds watchers and subscriptions of one bus together.
	maxListeners = 16 + 3 // three are the daemon's own: its log, its journal, and what waits for reloads

	// backlog is how many events a watcher may be behind.
	backlog = 1024
)

// A Bus hands events to whoever listens, and waits for nobody.
type Bus struct {
	taps []func(Event)

	mu            sync.Mutex
	history       history
	watchers      map[*Watcher]bool
	subscriptions map[*Subscription]bool
	expiry        expiry
}

var (
	// ErrTooMany says that no more listeners are served.
	ErrTooMany = errors.New("too many are watching already: end one of them")

	// ErrGone says that a subscription cannot be resumed there: the events are no longer
	// held, or the ID is not known.
	ErrGone = errors.New("some events after that are gone: read the status, and subscribe anew")

	// ErrGap says that a subscription is so far behind that events after its last one are
	// no longer held.
	ErrGap = errors.New("events are gone: the reader is too slow")
)

// NewBus returns a bus. It calls the taps for each event, in order; they must not block.
func NewBus(taps ...func(Event)) *Bus {
	var h history
	h.begin(newRun())
	return newBus(h, taps)
}

func newBus(past history, taps []func(Event)) *Bus {
	b := &Bus{taps: taps, history: past, watchers: make(map[*Watcher]bool), subscriptions: make(map[*Subscription]bool)}
	b.mu.Lock() // expire may be called at once
	defer b.mu.Unlock()
	b.expiry.begin(b.expire)
	for e := range b.history.ours.all {
		b.expiry.note(*e)
	}
	b.expiry.past()
	return b
}

// newRun returns a name that no other run has.
func newRun() string { return strings.ToLower(rand.Text()[:8]) }

// Publish hands an event to all who listen. Its Time is now unless it is set.
func (b *Bus) Publish(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, tap := range b.taps {
		tap(e)
	}
	b.expiry.note(e)
	b.send(e)
}

// Present tells the bus, once, which grants there are when a daemon begins, as the events
// that made them. Those of before that are not among them have ended in the meantime.
func (b *Bus) Present(grants []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.expiry.present(grants, time.Now()) {
		b.send(e)
	}
}

// expire is called when a grant may have ended.
func (b *Bus) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.expiry.over(time.Now()) {
		b.send(e)
	}
}

// send numbers an event, keeps it and hands it out. The lock is held.
func (b *Bus) send(e Event) {
	e.seq = b.history.seq + 1
	b.history.add(e)
	for w := range b.watchers {
		if w.wants(e.Kind) {
			w.offer(e)
		}
	}
	for s := range b.subscriptions {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Latest returns the latest event of each kind that is still held and satisfies a condition,
// the latest first.
func (b *Bus) Latest(ok func(*Event) bool) []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	latest := make(map[Kind]Event)
	for _, r := range []*ring{&b.history.ours, &b.history.strangers} {
		for i := range r.events {
			if e := &r.events[i]; e.seq > latest[e.Kind].seq && ok(e) {
				latest[e.Kind] = *e
			}
		}
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b Event) int { return cmp.Compare(b.seq, a.seq) })
}

func wants(kinds []Kind) func(Kind) bool {
	if len(kinds) == 0 {
		return func(k Kind) bool { return k != Used }
	}
	return func(k Kind) bool { return slices.Contains(kinds, k) }
}

// A Watcher receives the events since it began to watch, as far as it keeps up: it is
// for people.
type Watcher struct {
	bus    *Bus
	wants  func(Kind) bool
	events chan Event
	missed uint64 // events that did not fit since the last one that did; guarded by the bus
}

// Watch begins to watch for some kinds of events, or for all if there are none.
func (b *Bus) Watch(kinds []Kind) (*Watcher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full() {
		return nil, ErrTooMany
	}
	w := &Watcher{bus: b, wants: wants(kinds), events: make(chan Event, backlog)}
	b.watchers[w] = true
	return w, nil
}

func (b *Bus) full() bool { return len(b.watchers)+len(b.subscriptions) >= maxListeners }

// Events delivers what happens. After missed events comes one of that kind, which says
// how many.
func (w *Watcher) Events() <-chan Event { return w.events }

// Offer hands an event to this watcher alone.
func (w *Watcher) Offer(e Event) {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	w.offer(e)
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	delete(w.bus.watchers, w)
}

// offer hands over an event if there is room.
func (w *Watcher) offer(e Event) {
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

// A Subscription receives every event, in order. It can be resumed from the ID of the
// last event that was dealt with, also after its reader or the daemon was restarted.
type Subscription struct {
	bus   *Bus
	wants func(Kind) bool
	wake  chan struct{}

	seq      uint64 // of the last event returned
	reported uint64 // up to which number a gap was reported
	skips    bool   // a gap is an event
	astray   bool   // where it was to go on is not known, which is a gap
}

// Now is where a subscription begins that is after no event.
const Now = "now"

// Subscribe returns a subscription to some kinds of events, or to all if there are none,
// after the event with an ID, or from [Now] on. Its methods are for one goroutine.
func (b *Bus) Subscribe(after string, kinds ...Kind) (*Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Subscription{bus: b, wants: wants(kinds), wake: make(chan struct{}, 1), seq: b.history.seq}
	if after != Now {
		var known bool
		if s.seq, known = b.history.number(after); !known || b.history.evicted(s.wants) > s.seq {
			return nil, ErrGone
		}
	}
	return s, b.add(s)
}

// Resume is Subscribe for those who have to go on, whatever is gone: with all events that are
// held, if the ID is not known. An event that says [Missed] stands for what is gone.
func (b *Bus) Resume(after string, kinds ...Kind) (*Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Subscription{bus: b, wants: wants(kinds), wake: make(chan struct{}, 1), seq: b.history.seq, skips: true}
	if after != Now {
		s.seq, s.astray = 0, true
		if seq, known := b.history.number(after); known {
			s.seq, s.astray = seq, false
		}
	}
	return s, b.add(s)
}

func (b *Bus) add(s *Subscription) error {
	if b.full() {
		return ErrTooMany
	}
	b.subscriptions[s] = true
	return nil
}

// Position returns the ID of the last event that was returned, or after which the
// subscription began: it can be resumed there.
func (s *Subscription) Position() string {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.bus.history.id(s.seq)
}

// Next waits for the next event. An event that has happened is returned even if the
// context has ended. After [ErrGap] the subscription
// goes on with the events that are still held.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, err := s.take()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			if e, ok, err := s.take(); ok || err != nil {
				return e, err
			}
			return Event{}, ctx.Err()
		}
	}
}

// take returns the next event if there is one.
func (s *Subscription) take() (Event, bool, error) {
	h := &s.bus.history
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if gone := h.evicted(s.wants); s.astray || gone > max(s.seq, s.reported) {
		s.reported, s.astray = gone, false
		if s.skips {
			return Event{ID: h.id(s.seq), Time: time.Now(), Kind: Missed}, true, nil
		}
		return Event{}, false, ErrGap
	}
	e, ok := h.after(s.seq, s.wants)
	if !ok {
		s.seq = h.seq
		return Event{}, false, nil
	}
	s.seq = e.seq
	e.ID = h.id(e.seq)
	return e, true, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subscriptions, s)
}
