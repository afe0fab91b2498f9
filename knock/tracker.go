package knock

import (
	"slices"
	"time"
)

// A Tracker follows how far each source has come in each sequence. It is not
// safe for concurrent use: one goroutine reads the packets.
type Tracker struct {
	sequences []sequence
	byPort    byPort
	epoch     time.Time // what attempts count their time from
	attempts  *attempts
	found     []int32 // scratch of Observe
	events    []Event // scratch of Observe
}

// A sequence is one door's way to one action.
type sequence struct {
	door    *Door
	action  Action
	knocks  []Port
	timeout time.Duration
}

// NewTracker returns a tracker for the doors, which must be valid (see Door)
// and must not change afterwards. It remembers at most limit attempts, and at
// least one: a source that is half-way through two sequences counts twice.
func NewTracker(doors []Door, limit int) *Tracker {
	t := &Tracker{epoch: time.Now()}
	longest := 0
	for i := range doors {
		door := &doors[i]
		for _, action := range []Action{LetIn, PutOut} {
			if knocks := door.sequenceFor(action); len(knocks) > 0 {
				t.add(sequence{door, action, knocks, door.SeqTimeout})
				longest = max(longest, len(knocks))
			}
		}
	}
	t.attempts = newAttempts(limit, longest)
	return t
}

func (t *Tracker) add(s sequence) {
	id := int32(len(t.sequences))
	t.sequences = append(t.sequences, s)
	for _, port := range s.knocks {
		t.byPort.add(port, id)
	}
}

// InProgress returns how many attempts are remembered at this moment, among
// them those that have run out of time but were not yet forgotten.
func (t *Tracker) InProgress() int { return t.attempts.index.len }

// Observe takes in a packet that arrived at the time now, and returns the
// sequences it completes. Times must come from the monotonic clock and must not go
// backwards. The slice is valid until the next call.
func (t *Tracker) Observe(now time.Time, p Packet) []Event {
	t.events = t.events[:0]
	members := t.byPort.of(p.Port)
	if len(members) == 0 {
		return nil
	}
	at := now.Sub(t.epoch)
	t.found = t.found[:0]
	k, id := keyOf(p.Source, 0), p.syn()
	source := t.attempts.index.hashSource(k.source)
	for _, sequence := range members {
		k.sequence = sequence
		a := t.attempts.find(&k, source.with(sequence))
		if a != none && t.attempts.expire(a, at, t.sequences[sequence].timeout) {
			a = none
		}
		if a != none && id != 0 && t.attempts.has(a, id) {
			return nil // a retransmission of what has counted already
		}
		t.found = append(t.found, a)
	}
	for i, sequence := range members {
		k.sequence = sequence
		t.advance(k, source.with(sequence), t.found[i], p, at)
	}
	return t.events
}

// advance lets the packet count for one sequence, of which a is the source's
// attempt, or none.
func (t *Tracker) advance(k key, h hash, a int32, p Packet, at time.Duration) {
	s := &t.sequences[k.sequence]
	step := int32(0)
	if a != none {
		attempt := t.attempts.at(a)
		if attempt.key != k { // it had to make room for another since it was found
			a = none
		} else if step = attempt.step; step > 0 && s.knocks[step] != p.Port {
			step = 0
			if t.attempts.fail(a) {
				a = none
			}
		}
	}
	if s.knocks[step] != p.Port {
		return
	}
	if a == none {
		t.forgetExpired(at)
		a = t.attempts.begin(k, h)
	}
	t.attempts.count(a, p.syn(), at)
	if int(step)+1 == len(s.knocks) {
		t.attempts.succeed(a, at)
		t.events = append(t.events, Event{s.action, s.door, p.Source})
	}
}

// forgetExpired frees what has run out of time, a little with every attempt that
// begins, so that no timer is needed. The lists are ordered by time but not by deadline;
// what is missed here goes when its source returns or its room is needed.
func (t *Tracker) forgetExpired(at time.Duration) {
	for _, list := range []*list{&t.attempts.begun, &t.attempts.further} {
		for range 2 {
			a := list.oldest
			if a == none || !t.attempts.expire(a, at, t.sequences[t.attempts.at(a).key.sequence].timeout) {
				break
			}
		}
	}
}

// WithDoors returns a tracker for other doors, which goes on with the attempts
// at those sequences that are the same in both. The old one is of no more use.
func (t *Tracker) WithDoors(doors []Door, limit int) *Tracker {
	next := NewTracker(doors, limit)
	next.epoch = t.epoch
	type name struct {
		door   string
		action Action
	}
	named := make(map[name]int32)
	for id, s := range next.sequences {
		named[name{s.door.Name, s.action}] = int32(id)
	}
	same := make(map[int32]int32) // from old to new
	for id, s := range t.sequences {
		if n, ok := named[name{s.door.Name, s.action}]; ok && next.sequences[n].equal(s) {
			same[int32(id)] = n
		}
	}
	next.attempts.adopt(t.attempts, same)
	return next
}

// equal says whether the same knocks in the same time do the same.
func (s sequence) equal(other sequence) bool {
	return s.timeout == other.timeout && slices.Equal(s.knocks, other.knocks)
}
