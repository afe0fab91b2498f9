package event

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxListeners bounds watchers and subscriptions of one bus together.
	maxListeners = 16 + 1 // the log is one

	// backlog is how many events a watcher may be behind.
	backlog = 1024

	// replay is how many events are kept for subscriptions, apart for those that strangers
	// can cause and all others: a flood of scans does not push out grants.
	replay = 4096
)

// A Bus hands events to whoever listens, and waits for nobody.
type Bus struct {
	taps  []func(Event)
	epoch string // in every ID: a restarted daemon's events are others

	mu            sync.Mutex
	seq           uint64 // of the last event
	ours          ring
	strangers     ring
	watchers      map[*Watcher]bool
	subscriptions map[*Subscription]bool
	observers     int    // listeners that expiry runs for
	expiry        expiry // runs while there are observers
}

// A ring holds the last events of some kinds, in the order of their numbers.
type ring struct {
	events  []Event
	next    int    // where the next event goes once the ring is full
	evicted uint64 // the number of the last event that is no longer held
}

var (
	// ErrTooMany says that no more listeners are served.
	ErrTooMany = errors.New("too many are watching already: end one of them")

	// ErrGone says that a subscription cannot be resumed there: the daemon was restarted, or
	// the events are no longer held.
	ErrGone = errors.New("the events after that are gone: read the status, and subscribe anew")

	// ErrGap says that a subscription is so far behind that events after its last one are
	// no longer held.
	ErrGap = errors.New("events are gone: the reader is too slow")
)

// NewBus returns a bus. It calls the taps for each event, in order; they must not block.
func NewBus(taps ...func(Event)) *Bus {
	return &Bus{
		taps: taps, epoch: strings.ToLower(rand.Text()[:8]),
		watchers: make(map[*Watcher]bool), subscriptions: make(map[*Subscription]bool),
	}
}

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
	if b.observers > 0 {
		b.expiry.note(e)
	}
	b.send(e)
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
	b.seq++
	e.seq = b.seq
	b.ringOf(e.Kind).add(e)
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
	for _, r := range []*ring{&b.ours, &b.strangers} {
		for i := range r.events {
			if e := &r.events[i]; e.seq > latest[e.Kind].seq && ok(e) {
				latest[e.Kind] = *e
			}
		}
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b Event) int { return cmp.Compare(b.seq, a.seq) })
}

func (b *Bus) ringOf(k Kind) *ring {
	if k.byStrangers() {
		return &b.strangers
	}
	return &b.ours
}

func (r *ring) add(e Event) {
	if len(r.events) < replay {
		r.events = append(r.events, e)
		return
	}
	r.evicted = r.events[r.next].seq
	r.events[r.next] = e
	r.next = (r.next + 1) % replay
}

// after returns the first event whose number is greater than seq and whose kind is wanted.
func (r *ring) after(seq uint64, wanted func(Kind) bool) (Event, bool) {
	at := func(i int) *Event { return &r.events[(r.next+i)%len(r.events)] }
	low, high := 0, len(r.events)
	for low < high {
		if middle := (low + high) / 2; at(middle).seq > seq {
			high = middle
		} else {
			low = middle + 1
		}
	}
	for ; low < len(r.events); low++ {
		if e := at(low); wanted(e.Kind) {
			return *e, true
		}
	}
	return Event{}, false
}

// observe has expiry run for another listener. The first one gives it the grants that
// there are, as the events that made them: present may take its time.
func (b *Bus) observe(present func() []Event) {
	b.observers++
	if b.observers > 1 {
		return
	}
	b.expiry.begin(b.expire)
	b.mu.Unlock()
	grants := present()
	b.mu.Lock()
	if b.expiry.timer == nil { // the listener has gone meanwhile
		return
	}
	for _, e := range grants {
		if !b.expiry.knows(e) { // what has happened since is newer
			b.expiry.note(e)
		}
	}
}

func (b *Bus) unobserve() {
	if b.observers--; b.observers == 0 {
		b.expiry.end()
	}
}

func wants(kinds []Kind) func(Kind) bool {
	return func(k Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, k) }
}

// A Watcher receives the events since it began to watch, as far as it keeps up: it is
// for people.
type Watcher struct {
	bus    *Bus
	wants  func(Kind) bool
	events chan Event
	missed uint64 // events that did not fit since the last one that did; guarded by the bus
}

// Watch begins to watch for some kinds of events, or for all if there are none. The
// present grants are asked for if nobody else listens.
func (b *Bus) Watch(kinds []Kind, present func() []Event) (*Watcher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full() {
		return nil, ErrTooMany
	}
	w := &Watcher{bus: b, wants: wants(kinds), events: make(chan Event, backlog)}
	b.watchers[w] = true
	b.observe(present)
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
	w.bus.unobserve()
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
// last event that was dealt with, also after its reader was restarted.
type Subscription struct {
	bus      *Bus
	wants    func(Kind) bool
	wake     chan struct{}
	observer bool

	seq      uint64 // of the last event returned
	reported uint64 // up to which number a gap was reported
}

// Subscribe returns a subscription to some kinds of events, or to all if there are none,
// after the event with an ID; from now on if the ID is empty. With present it receives
// expiry too, as a Watcher does. Its methods are for one goroutine.
func (b *Bus) Subscribe(after string, kinds []Kind, present func() []Event) (*Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seq, err := b.resume(after, wants(kinds))
	switch {
	case err != nil:
		return nil, err
	case b.full():
		return nil, ErrTooMany
	}
	s := &Subscription{
		bus: b, wants: wants(kinds), wake: make(chan struct{}, 1), observer: present != nil,
		seq: seq, reported: seq,
	}
	b.subscriptions[s] = true
	if s.observer {
		b.observe(present)
	}
	return s, nil
}

// resume returns the number of the event with an ID.
func (b *Bus) resume(id string, wanted func(Kind) bool) (uint64, error) {
	if id == "" {
		return b.seq, nil
	}
	epoch, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != b.epoch || seq > b.seq {
		return 0, ErrGone
	}
	if b.evicted(wanted) > seq {
		return 0, ErrGone
	}
	return seq, nil
}

// evicted returns the number of the last event that is no longer held, among those that
// are kept with the wanted ones.
func (b *Bus) evicted(wanted func(Kind) bool) uint64 {
	var last uint64
	for _, k := range Kinds {
		if wanted(k) {
			last = max(last, b.ringOf(k).evicted)
		}
	}
	return last
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
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := s.gap(); err != nil {
		return Event{}, false, err
	}
	ours, ok := b.ours.after(s.seq, s.wants)
	theirs, also := b.strangers.after(s.seq, s.wants)
	if !ok && !also {
		s.seq = b.seq
		return Event{}, false, nil
	}
	e := ours
	if !ok || also && theirs.seq < ours.seq {
		e = theirs
	}
	s.seq = e.seq
	e.ID = b.epoch + "-" + strconv.FormatUint(e.seq, 10)
	return e, true, nil
}

// gap reports, once, that events were evicted before they could be taken.
func (s *Subscription) gap() error {
	gone := s.bus.evicted(s.wants)
	if gone <= max(s.seq, s.reported) {
		return nil
	}
	s.reported = gone
	return ErrGap
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subscriptions, s)
	if s.observer {
		s.bus.unobserve()
	}
}
