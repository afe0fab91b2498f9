package knock

import (
	"math"
	"net/netip"
	"time"
)

// MaxParallel is how many attempts at one sequence a source may have under way.
const MaxParallel = 8

// A Tracker follows how far each source has come in each sequence. It is not safe for
// concurrent use: one goroutine reads the packets.
type Tracker struct {
	sequences []sequence
	byPort    byPort
	epoch     time.Time     // what times are counted from
	now       time.Duration // the time of the latest packet
	keys      *keys
	attempts  *attempts
	muted     *muted

	watcher       func(Step) // nil if nobody watches
	failedBegun   ring       // of attempts that had counted one knock, or none
	failedFurther ring

	heads  []int32 // scratch of Observe
	events []Event // scratch of Observe
}

// NewTracker returns a tracker for the doors, which must be valid (see Door) and must not
// change afterwards. It remembers at most limit attempts, and at least one; a source may
// have several. It remembers as many muted sources.
func NewTracker(doors []Door, scan Scan, limit int) *Tracker {
	t := &Tracker{epoch: time.Now(), keys: newKeys()}
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

// InProgress returns how many attempts are under way: begun, not complete, and in time. It
// looks at all that are remembered.
func (t *Tracker) InProgress(at time.Time) int {
	now := max(t.now, at.Sub(t.epoch))
	n := 0
	for _, l := range []list{t.attempts.begun, t.attempts.further} {
		for a := l.oldest; a != none; a = t.attempts.at(a).newer {
			attempt := t.attempts.at(a)
			if !attempt.complete && now-attempt.at <= t.sequences[attempt.key.sequence].timeout {
				n++
			}
		}
	}
	return n
}

// Mute ignores a source for a time, as if it had touched a decoy. It is for a proof that
// was wrong and that only its sender can have sent: what anybody can forge, a datagram with
// a spoofed source for one, must not mute.
func (t *Tracker) Mute(now time.Time, source netip.Addr) {
	t.muted.touch(source, t.keys, t.advanceTo(now))
}

// Unmute listens to a source again, and with it to all those that are muted together with
// it, whose prefix it returns; no valid one if the source was not muted.
func (t *Tracker) Unmute(now time.Time, source netip.Addr) netip.Prefix {
	return t.muted.forgive(source, t.keys, t.advanceTo(now))
}

// UnmuteWithin is Unmute for all sources of a prefix, which has a zone if it is one link-local
// address.
func (t *Tracker) UnmuteWithin(now time.Time, sources netip.Prefix, zone string) (was []netip.Prefix) {
	unmute := func(a netip.Addr) {
		if p := t.Unmute(now, a); p.IsValid() {
			was = append(was, p)
		}
	}
	if sources.IsSingleIP() {
		unmute(sources.Addr().WithZone(zone))
		return was
	}
	muted, _ := t.MutedSources(now, math.MaxInt)
	for _, m := range muted {
		if sources.Overlaps(m.Prefix) {
			unmute(m.Prefix.Addr())
		}
	}
	return was
}

// advanceTo takes the time of a packet. It returns that of the latest, which no packet
// that was reordered turns back.
func (t *Tracker) advanceTo(at time.Time) time.Duration {
	t.now = max(t.now, at.Sub(t.epoch))
	return t.now
}

// Observe takes in a packet and returns the sequences it completes. The time is when the
// packet arrived, on the monotonic clock. It may be before that of an earlier call, as
// packets may be reordered on their way here, but must not be in the future. An attempt has
// to fit into its time from its earliest knock to the latest packet of all. The slice is
// valid until the next call.
func (t *Tracker) Observe(arrived time.Time, p Packet) []Event {
	t.events = t.events[:0]
	t.advanceTo(arrived)
	members, decoy := t.byPort.of(p.Port)
	if decoy {
		if t.muted.touch(p.Source, t.keys, t.now) {
			t.events = append(t.events, Event{Action: Muted, Source: p.Source})
		}
		return t.events
	}
	if len(members) == 0 {
		return nil
	}
	muted, since := t.muted.find(p.Source, t.keys, t.now)
	if muted {
		if t.watcher != nil {
			t.watcher(Step{Time: t.epoch.Add(t.now), Source: p.Source, Outcome: Ignored})
		}
		return nil
	}
	k, id := t.keys.of(p.Source, 0), p.syn()
	source := t.attempts.index.hashSource(k.source)
	t.heads = t.heads[:0]
	for _, sequence := range members {
		k.sequence = sequence
		head := t.attempts.find(&k, source.with(sequence))
		head, repeated := t.review(head, p.Source, since, id)
		if repeated {
			return nil
		}
		t.heads = append(t.heads, head)
	}
	evicted := t.attempts.evicted
	var opening *Door // of which a knock has advanced the opening
	counted := false
	for i, sequence := range members {
		s := &t.sequences[sequence]
		if s.action == Revoke && s.door == opening {
			continue // people who open together must not spell the closing
		}
		k.sequence = sequence
		h, head := source.with(sequence), t.heads[i]
		if t.attempts.evicted != evicted { // perhaps one of these
			head = t.attempts.find(&k, h)
		}
		a := t.waiting(head, s, p.Port)
		switch {
		case a != none:
			if s.action != Revoke {
				opening = s.door
			}
			t.count(a, s, p, arrived)
			counted = true
		case s.expects(0, p.Port):
			head = t.makeRoom(head, false)
			t.forgetExpired()
			a = t.attempts.begin(&k, h, head)
			if p.Source.Zone() != "" {
				t.attempts.at(a).part = hashedSource
			}
			t.count(a, s, p, arrived)
			counted = true
		default:
			counted = t.startOver(head, s, p.Source) || counted
		}
	}
	if !counted {
		t.wrongKnock(&t.sequences[members[0]], p.Source, 0)
	}
	return t.events
}

// review forgets those attempts of a chain that are over: that have run out of time, or
// were begun before their source was muted. It returns the head of what remains, and
// whether a SYN is a retransmission of one that an attempt has counted.
func (t *Tracker) review(head int32, source netip.Addr, muted time.Duration, id syn) (_ int32, repeated bool) {
	for a := head; a != none; {
		attempt := t.attempts.at(a)
		elder := attempt.elder
		if expired := t.expired(attempt); expired || !attempt.complete && attempt.at <= muted {
			if expired && !attempt.complete {
				t.fail(t.tooSlow(&t.sequences[attempt.key.sequence], source, attempt))
			}
			t.attempts.remove(a)
			if a == head {
				head = elder
			}
		} else if id != 0 && t.attempts.has(a, id) {
			return head, true
		}
		a = elder
	}
	return head, false
}

func (t *Tracker) expired(a *attempt) bool {
	return t.now-a.at > t.sequences[a.key.sequence].timeout
}

// waiting returns the attempt for which a knock counts: of those of a chain that wait for
// it the one that is furthest on, and of equals the youngest, which has the most time
// left.
func (t *Tracker) waiting(head int32, s *sequence, p Port) int32 {
	best, furthest := none, int32(0)
	for a := head; a != none; a = t.attempts.at(a).elder {
		if attempt := t.attempts.at(a); !attempt.complete && attempt.step > furthest && s.expects(attempt.step, p) {
			best, furthest = a, attempt.step
		}
	}
	return best
}

// makeRoom lets the oldest attempt of a chain go if there are as many as there may be
// under way, or complete. It returns the head of what remains.
func (t *Tracker) makeRoom(head int32, complete bool) int32 {
	n, oldest := 0, none
	for a := head; a != none; a = t.attempts.at(a).elder {
		if t.attempts.at(a).complete == complete {
			n, oldest = n+1, a
		}
	}
	if n < MaxParallel {
		return head
	}
	if oldest == head {
		head = t.attempts.at(head).elder
	}
	t.attempts.remove(oldest)
	return head
}

// count lets a knock count for an attempt.
func (t *Tracker) count(a int32, s *sequence, p Packet, arrived time.Time) {
	t.attempts.count(a, p.syn(), arrived.Sub(t.epoch))
	attempt := t.attempts.at(a)
	if t.expired(attempt) { // the knock was delayed by too much
		t.fail(t.tooSlow(s, p.Source, attempt))
		t.attempts.remove(a)
		return
	}
	if t.watcher != nil {
		t.watcher(Step{t.epoch.Add(t.now), p.Source, Advanced, s.door, s.action, int(attempt.step), s.len()})
	}
	if int(attempt.step) < s.len() {
		return
	}
	e := Event{Action: s.action, Door: s.door, Source: p.Source}
	if s.base != 0 {
		e.Code = codeOf(s.base, t.attempts.syns(a)[attempt.step-2].port(), p.Port.Number)
	}
	t.complete(a)
	t.events = append(t.events, e)
}

// complete keeps the attempt for the retransmissions of its SYNs, among the latest
// MaxParallel.
func (t *Tracker) complete(a int32) {
	head := a
	for junior := t.attempts.at(head).junior; junior != none; junior = t.attempts.at(head).junior {
		head = junior
	}
	t.makeRoom(head, true)
	t.attempts.complete(a, t.now)
}

// startOver forgets the attempts of a chain that are under way. It reports whether there
// were any.
func (t *Tracker) startOver(head int32, s *sequence, source netip.Addr) bool {
	furthest := int32(0)
	for a := head; a != none; {
		attempt := t.attempts.at(a)
		elder := attempt.elder
		if !attempt.complete {
			furthest = max(furthest, attempt.step)
			t.attempts.remove(a)
		}
		a = elder
	}
	if furthest > 0 {
		t.wrongKnock(s, source, furthest)
	}
	return furthest > 0
}

// forgetExpired frees what has run out of time, a little with every attempt that begins,
// so that no timer is needed. The lists are ordered by time but not by deadline; what is
// missed here goes when its source returns or its room is needed.
func (t *Tracker) forgetExpired() {
	for _, list := range []*list{&t.attempts.begun, &t.attempts.further} {
		for range 2 {
			a := list.oldest
			if a == none || !t.expired(t.attempts.at(a)) {
				break
			}
			if attempt := t.attempts.at(a); !attempt.complete && attempt.part != hashedSource {
				source := netip.AddrFrom16(attempt.key.source).Unmap()
				t.fail(t.tooSlow(&t.sequences[attempt.key.sequence], source, attempt))
			}
			t.attempts.remove(a)
		}
	}
}

// WithDoors returns a tracker for other doors, which goes on with the attempts at those
// sequences that are the same in both, and with who is muted. The old tracker must not be
// used any more.
func (t *Tracker) WithDoors(doors []Door, scan Scan, limit int) *Tracker {
	next := NewTracker(doors, scan, limit)
	next.epoch, next.now, next.keys = t.epoch, t.now, t.keys
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
	next.watcher, next.failedBegun, next.failedFurther = t.watcher, t.failedBegun, t.failedFurther
	return next
}
