package knock

import (
	"net/netip"
	"time"
)

// A Tracker follows how far each source has come in each sequence. It is not
// safe for concurrent use: one goroutine reads the packets.
type Tracker struct {
	sequences []sequence
	byPort    byPort
	epoch     time.Time // what attempts count their time from
	attempts  *attempts
	muted     *muted
	found     []int32 // scratch of Observe
	events    []Event // scratch of Observe
}

// NewTracker returns a tracker for the doors, which must be valid (see Door)
// and must not change afterwards. It remembers at most limit attempts, and at
// least one: a source that is half-way through two sequences counts twice. Of the sources
// that are muted it remembers as many.
func NewTracker(doors []Door, scan Scan, limit int) *Tracker {
	t := &Tracker{epoch: time.Now()}
	longest, slowest := 0, time.Duration(0)
	for i := range doors {
		for _, s := range sequencesOf(&doors[i]) {
			id := int32(len(t.sequences))
			t.sequences = append(t.sequences, s)
			for port := range s.ports {
				t.byPort.add(port, id)
			}
			longest, slowest = max(longest, s.len()), max(slowest, s.timeout)
		}
	}
	for _, port := range scan.Decoys {
		t.byPort.addDecoy(port)
	}
	t.attempts = newAttempts(limit, longest)
	t.muted = newMuted(limit, scan.Mute, slowest)
	return t
}

// InProgress returns how many attempts are remembered at this moment, among
// them those that have run out of time but were not yet forgotten.
func (t *Tracker) InProgress() int { return t.attempts.index.len }

// Muted returns how many sources are remembered that are or were muted lately.
func (t *Tracker) Muted() int { return t.muted.sources.index.len }

// Mute has the tracker not listen to a source for a time, as a decoy does: it has
// knocked a code that is wrong.
func (t *Tracker) Mute(now time.Time, source netip.Addr) { t.muted.touch(source, now.Sub(t.epoch)) }

// Observe takes in a packet that arrived at the time now, and returns the
// sequences it completes. Times must come from the monotonic clock and must not go
// backwards. The slice is valid until the next call.
func (t *Tracker) Observe(now time.Time, p Packet) []Event {
	t.events = t.events[:0]
	members, decoy := t.byPort.of(p.Port)
	at := now.Sub(t.epoch)
	if decoy {
		if t.muted.touch(p.Source, at) {
			t.events = append(t.events, Event{Action: Muted, Source: p.Source})
		}
		return t.events
	}
	if len(members) == 0 {
		return nil
	}
	muted, since := t.muted.find(p.Source, at)
	if muted {
		return nil
	}
	t.found = t.found[:0]
	k, id := keyOf(p.Source, 0), p.syn()
	source := t.attempts.index.hashSource(k.source)
	for _, sequence := range members {
		k.sequence = sequence
		a := t.attempts.find(&k, source.with(sequence))
		if a != none && t.attempts.expire(a, at, t.sequences[sequence].timeout) {
			a = none
		}
		if a != none && t.attempts.at(a).step > 0 && t.attempts.at(a).since <= since && t.attempts.fail(a) {
			a = none // it was begun before its source was muted
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
		} else if step = attempt.step; step > 0 && !s.expects(step, p.Port) {
			step = 0
			if t.attempts.fail(a) {
				a = none
			}
		}
	}
	if !s.expects(step, p.Port) {
		return
	}
	if a == none {
		t.forgetExpired(at)
		a = t.attempts.begin(k, h)
	}
	t.attempts.count(a, p.syn(), at)
	if int(step)+1 == s.len() {
		e := Event{Action: s.action, Door: s.door, Source: p.Source}
		if s.base != 0 {
			first, _ := t.attempts.synsOf(a)
			e.Code = codeOf(s.base, first[step-1].port(), p.Port.Number)
		}
		t.attempts.succeed(a, at)
		t.events = append(t.events, e)
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
// at those sequences that are the same in both, and with who is muted. The old one is of
// no more use.
func (t *Tracker) WithDoors(doors []Door, scan Scan, limit int) *Tracker {
	next := NewTracker(doors, scan, limit)
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
	next.muted.adopt(t.muted)
	return next
}
