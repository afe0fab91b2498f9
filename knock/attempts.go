package knock

import (
	"net/netip"
	"slices"
	"time"
)

// attempts is a bounded store of the attempts under way. It grows by chunks as
// it is needed, and reuses what has become free: a steady stream of packets
// allocates nothing. There are no pointers in it, which spares the garbage
// collector from looking at it.
type attempts struct {
	limit   int
	longest int // knocks in the longest sequence
	index   index
	chunks  []chunk
	free    []int32

	begun   list // attempts of those who have got no further than a first knock
	further list // those that are further on, or have succeeded
}

// A key says whose attempt at which sequence. IPv4 addresses are mapped into
// IPv6 (RFC 4291, section 2.5.5.2).
type key struct {
	source   [16]byte
	sequence int32
}

func keyOf(source netip.Addr, sequence int32) key { return key{source.As16(), sequence} }

// An attempt is how far a source has come in a sequence. Times are since the
// tracker's epoch. It fills 64 bytes, which is a cache line of most processors.
type attempt struct {
	key   key
	step  int32         // how many knocks have counted
	since time.Duration // when the first of them came

	success   time.Duration // when it last succeeded
	hash      hash          // of the key
	succeeded int32         // how many knocks counted when it last succeeded; 0: it has not

	place        int32 // in the index
	older, newer int32 // neighbours in its list
}

// A chunk is room for chunkLen attempts. They are known by their number among
// all chunks' attempts.
type chunk struct {
	attempts []attempt
	syns     []syn // for each attempt, longest that have counted, and longest of its last success
}

const chunkLen = 1024

// none is the number of no attempt.
const none int32 = -1

func newAttempts(limit, longest int) *attempts {
	return &attempts{
		limit:   max(limit, 1),
		longest: longest,
		index:   newIndex(max(limit, 1)),
		begun:   list{none, none},
		further: list{none, none},
	}
}

// find returns the attempt with a key, of the given hash, or none.
func (s *attempts) find(k *key, h hash) int32 {
	return s.index.find(h, func(a int32) bool { return s.at(a).key == *k })
}

func (s *attempts) at(a int32) *attempt { return &s.chunks[a/chunkLen].attempts[a%chunkLen] }

// synsOf returns room for the SYNs that have counted, and for those of the last success.
func (s *attempts) synsOf(a int32) (current, last []syn) {
	all := s.chunks[a/chunkLen].syns[int(a%chunkLen)*2*s.longest:]
	return all[:s.longest], all[s.longest : 2*s.longest]
}

// has says whether a SYN has counted in the attempt, or in its last success.
func (s *attempts) has(a int32, id syn) bool {
	current, last := s.synsOf(a)
	attempt := s.at(a)
	return slices.Contains(current[:attempt.step], id) || slices.Contains(last[:attempt.succeeded], id)
}

// begin makes room for a new attempt and returns it. It is in no list until it counts.
func (s *attempts) begin(k key, h hash) int32 {
	if s.index.len >= s.limit {
		if s.begun.oldest != none {
			s.remove(s.begun.oldest)
		} else {
			s.remove(s.further.oldest)
		}
	}
	if len(s.free) == 0 {
		s.grow()
	}
	last := len(s.free) - 1
	a := s.free[last]
	s.free = s.free[:last]
	attempt := s.at(a)
	attempt.key, attempt.hash, attempt.place = k, h, s.index.add(h, a)
	attempt.step, attempt.succeeded = 0, 0
	return a
}

func (s *attempts) grow() {
	first := int32(len(s.chunks) * chunkLen)
	s.chunks = append(s.chunks, chunk{make([]attempt, chunkLen), make([]syn, chunkLen*2*s.longest)})
	for a := first + chunkLen - 1; a >= first; a-- {
		s.free = append(s.free, a)
	}
}

// count adds a knock to the attempt.
func (s *attempts) count(a int32, id syn, now time.Duration) {
	attempt := s.at(a)
	if attempt.step > 0 || attempt.succeeded > 0 {
		s.unlink(a)
	}
	if attempt.step == 0 {
		attempt.since = now
	}
	current, _ := s.synsOf(a)
	current[attempt.step] = id
	attempt.step++
	s.push(a)
}

// succeed turns what the attempt has counted into its last success.
func (s *attempts) succeed(a int32, now time.Duration) {
	s.unlink(a)
	attempt := s.at(a)
	current, last := s.synsOf(a)
	copy(last, current[:attempt.step])
	attempt.succeeded, attempt.success, attempt.step = attempt.step, now, 0
	s.push(a)
}

// fail forgets what the attempt has counted. It says whether that was all.
func (s *attempts) fail(a int32) bool {
	if s.at(a).succeeded == 0 {
		s.remove(a)
		return true
	}
	s.at(a).step = 0
	return false
}

// expire forgets of the attempt what is older than timeout. It says whether
// that was all. A success is never younger than what has counted since.
func (s *attempts) expire(a int32, now, timeout time.Duration) bool {
	attempt := s.at(a)
	if attempt.step > 0 && now-attempt.since <= timeout {
		if attempt.succeeded > 0 && now-attempt.success > timeout {
			s.unlink(a)
			attempt.succeeded = 0
			s.push(a)
		}
		return false
	}
	if attempt.succeeded > 0 && now-attempt.success <= timeout {
		return false
	}
	s.remove(a)
	return true
}

func (s *attempts) remove(a int32) {
	s.unlink(a)
	s.index.remove(s.at(a).hash, s.at(a).place)
	s.free = append(s.free, a)
}

// adopt takes over another store's attempts at the sequences that have a new
// number, oldest first.
func (s *attempts) adopt(from *attempts, sequences map[int32]int32) {
	for _, l := range []list{from.begun, from.further} {
		for old := l.oldest; old != none; old = from.at(old).newer {
			attempt := *from.at(old)
			sequence, ok := sequences[attempt.key.sequence]
			if !ok {
				continue
			}
			attempt.key.sequence = sequence
			a := s.begin(attempt.key, s.index.hash(attempt.key))
			attempt.hash, attempt.place = s.at(a).hash, s.at(a).place
			*s.at(a) = attempt
			s.push(a)
			current, last := s.synsOf(a)
			oldCurrent, oldLast := from.synsOf(old)
			copy(current, oldCurrent[:attempt.step])
			copy(last, oldLast[:attempt.succeeded])
		}
	}
}

// A list threads attempts from the oldest to the newest.
type list struct{ oldest, newest int32 }

// listOf returns the list that the attempt belongs to. Who has succeeded with a
// single knock has got no further than a first one.
func (s *attempts) listOf(a int32) *list {
	if attempt := s.at(a); attempt.step <= 1 && attempt.succeeded <= 1 {
		return &s.begun
	}
	return &s.further
}

// push makes the attempt the newest of its list.
func (s *attempts) push(a int32) {
	l, attempt := s.listOf(a), s.at(a)
	attempt.older, attempt.newer = l.newest, none
	if l.newest == none {
		l.oldest = a
	} else {
		s.at(l.newest).newer = a
	}
	l.newest = a
}

// unlink takes the attempt out of its list, which is done before any change
// that puts it into the other one.
func (s *attempts) unlink(a int32) {
	l, attempt := s.listOf(a), s.at(a)
	if attempt.older == none {
		l.oldest = attempt.newer
	} else {
		s.at(attempt.older).newer = attempt.newer
	}
	if attempt.newer == none {
		l.newest = attempt.older
	} else {
		s.at(attempt.newer).older = attempt.older
	}
}
