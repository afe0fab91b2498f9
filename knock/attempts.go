package knock

import (
	"net/netip"
	"slices"
	"time"
)

// attempts is a bounded store of the attempts under way. Its slots are reused,
// so that a steady stream of packets allocates nothing.
type attempts struct {
	limit   int
	longest int // knocks in the longest sequence
	index   map[key]int32
	slots   []attempt
	syns    []syn // for each slot, longest that have counted, and longest of its last success
	free    []int32

	begun   list // attempts that have seen their first knock only
	further list // those that are further on, or have succeeded
}

// A key says whose attempt at which sequence.
type key struct {
	source   netip.Addr
	sequence int32
}

// An attempt is how far a source has come in a sequence. Times are since the
// tracker's epoch.
type attempt struct {
	key   key
	step  int32         // how many knocks have counted
	since time.Duration // when the first of them came

	succeeded int32         // how many knocks counted when it last succeeded; 0: it has not
	success   time.Duration // when that was

	older, newer int32 // neighbours in its list
}

// none is the index of no slot.
const none int32 = -1

func newAttempts(limit, longest int) *attempts {
	return &attempts{
		limit:   limit,
		longest: longest,
		index:   make(map[key]int32),
		begun:   list{none, none},
		further: list{none, none},
	}
}

func (s *attempts) get(k key) int32 {
	if a, ok := s.index[k]; ok {
		return a
	}
	return none
}

// has says whether a SYN has counted in the attempt, or in its last success.
func (s *attempts) has(a int32, id syn) bool {
	current, last := s.synsOf(a)
	return slices.Contains(current[:s.slots[a].step], id) || slices.Contains(last[:s.slots[a].succeeded], id)
}

func (s *attempts) synsOf(a int32) (current, last []syn) {
	all := s.syns[int(a)*2*s.longest:]
	return all[:s.longest], all[s.longest : 2*s.longest]
}

// begin makes room for a new attempt and returns it.
func (s *attempts) begin(k key) int32 {
	if len(s.index) >= s.limit {
		if s.begun.oldest != none {
			s.remove(s.begun.oldest)
		} else {
			s.remove(s.further.oldest)
		}
	}
	var a int32
	if n := len(s.free); n > 0 {
		a, s.free = s.free[n-1], s.free[:n-1]
	} else {
		a = int32(len(s.slots))
		s.slots = append(s.slots, attempt{})
		for range 2 * s.longest {
			s.syns = append(s.syns, 0)
		}
	}
	s.slots[a] = attempt{key: k}
	s.index[k] = a
	s.begun.push(s.slots, a)
	return a
}

// count adds a knock to the attempt.
func (s *attempts) count(a int32, id syn, at time.Duration) {
	s.listOf(a).unlink(s.slots, a)
	attempt := &s.slots[a]
	if attempt.step == 0 {
		attempt.since = at
	}
	current, _ := s.synsOf(a)
	current[attempt.step] = id
	attempt.step++
	s.listOf(a).push(s.slots, a)
}

// succeed turns what the attempt has counted into its last success.
func (s *attempts) succeed(a int32, at time.Duration) {
	s.listOf(a).unlink(s.slots, a)
	attempt := &s.slots[a]
	current, last := s.synsOf(a)
	copy(last, current[:attempt.step])
	attempt.succeeded, attempt.success, attempt.step = attempt.step, at, 0
	s.listOf(a).push(s.slots, a)
}

// fail forgets what the attempt has counted.
func (s *attempts) fail(a int32) {
	if s.slots[a].succeeded == 0 {
		s.remove(a)
		return
	}
	s.slots[a].step = 0
}

// forget forgets of the attempt what is older than timeout. It says whether
// that was all.
func (s *attempts) forget(a int32, at, timeout time.Duration) bool {
	attempt := &s.slots[a]
	current := attempt.step > 0 && at-attempt.since <= timeout
	last := attempt.succeeded > 0 && at-attempt.success <= timeout
	if !current && !last {
		s.remove(a)
		return true
	}
	if current && last {
		return false
	}
	s.listOf(a).unlink(s.slots, a)
	if !current {
		attempt.step = 0
	}
	if !last {
		attempt.succeeded = 0
	}
	s.listOf(a).push(s.slots, a)
	return false
}

func (s *attempts) remove(a int32) {
	s.listOf(a).unlink(s.slots, a)
	delete(s.index, s.slots[a].key)
	s.slots[a] = attempt{}
	s.free = append(s.free, a)
}

func (s *attempts) listOf(a int32) *list {
	if s.slots[a].step <= 1 && s.slots[a].succeeded == 0 {
		return &s.begun
	}
	return &s.further
}

// A list threads attempts from the oldest to the newest.
type list struct{ oldest, newest int32 }

func (l *list) push(slots []attempt, a int32) {
	slots[a].older, slots[a].newer = l.newest, none
	if l.newest == none {
		l.oldest = a
	} else {
		slots[l.newest].newer = a
	}
	l.newest = a
}

func (l *list) unlink(slots []attempt, a int32) {
	older, newer := slots[a].older, slots[a].newer
	if older == none {
		l.oldest = newer
	} else {
		slots[older].newer = newer
	}
	if newer == none {
		l.newest = older
	} else {
		slots[newer].older = older
	}
}
