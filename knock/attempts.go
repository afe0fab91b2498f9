package knock

import (
	"slices"
	"time"
)

// attempts is a bounded store of attempts. It grows by chunks as needed and reuses
// what is free, so that a steady stream of packets allocates nothing. It holds no
// pointers, which spares the garbage collector from scanning it.
type attempts struct {
	limit   int
	longest int // knocks in the longest sequence
	index   index
	chunks  []chunk
	free    []int32
	evicted uint64 // how many attempts made room for others

	begun   list // attempts that have counted one knock
	further list // attempts that have counted more, or are complete
}

// A key says whose attempt at which sequence. IPv4 addresses are mapped into
// IPv6 (RFC 4291, section 2.5.5.2).
type key struct {
	source   [16]byte
	sequence int32
}

// An attempt is how far a source has come in a sequence. Those with the same key form
// a chain, the youngest first; the index knows its head. An attempt that is complete stays
// for a while, because its SYNs may still be retransmitted. The struct fills 64 bytes,
// a cache line of most processors.
type attempt struct {
	key  key
	step int32         // how many knocks have counted
	at   time.Duration // when the first of them came, since the epoch; once complete, when the last did
	hash hash          // of the key

	place         int32  // of the chain, in the index
	elder, junior int32  // neighbours in the chain
	older, newer  int32  // neighbours in the list
	part          uint16 // of a network: see muted; or hashedSource
	complete      bool
}

// A chunk is room for chunkLen attempts. An attempt is known by its number among the
// attempts of all chunks.
type chunk struct {
	attempts []attempt
	syns     []syn // longest for each attempt
}

const chunkLen = 1024

// hashedSource marks an attempt whose key does not tell the source.
const hashedSource = 1

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

// len returns how many attempts are remembered.
func (s *attempts) len() int { return len(s.chunks)*chunkLen - len(s.free) }

// find returns the youngest attempt with a key, of the given hash, or none.
func (s *attempts) find(k *key, h hash) int32 {
	return s.index.find(h, func(a int32) bool { return s.at(a).key == *k })
}

func (s *attempts) at(a int32) *attempt { return &s.chunks[a/chunkLen].attempts[a%chunkLen] }

// syns returns room for the SYNs that the attempt counts.
func (s *attempts) syns(a int32) []syn {
	return s.chunks[a/chunkLen].syns[int(a%chunkLen)*s.longest:][:s.longest]
}

// has reports whether the attempt has counted a SYN.
func (s *attempts) has(a int32, id syn) bool {
	return slices.Contains(s.syns(a)[:s.at(a).step], id)
}

// begin adds an attempt to the chain of its key, whose head is given, or none. It
// belongs to no list until it counts.
func (s *attempts) begin(k *key, h hash, head int32) int32 {
	if s.len() >= s.limit {
		victim := s.begun.oldest
		if victim == none {
			victim = s.further.oldest
		}
		if victim == head {
			head = s.at(head).elder
		}
		s.remove(victim)
		s.evicted++
	}
	a := s.take()
	attempt := s.at(a)
	*attempt = attemptOf(k, h)
	if head == none {
		attempt.place = s.index.add(h, a)
		return a
	}
	attempt.place, attempt.elder = s.at(head).place, head
	s.at(head).junior = a
	s.index.places[attempt.place] = a
	return a
}

func attemptOf(k *key, h hash) attempt {
	return attempt{key: *k, hash: h, elder: none, junior: none, older: none, newer: none}
}

// take returns a free attempt.
func (s *attempts) take() int32 {
	if len(s.free) == 0 {
		first := int32(len(s.chunks) * chunkLen)
		s.chunks = append(s.chunks, chunk{make([]attempt, chunkLen), make([]syn, chunkLen*s.longest)})
		for a := first + chunkLen - 1; a >= first; a-- {
			s.free = append(s.free, a)
		}
	}
	last := len(s.free) - 1
	a := s.free[last]
	s.free = s.free[:last]
	return a
}

// count adds a knock to the attempt. Its time is that of its earliest knock, also if
// they were reordered.
func (s *attempts) count(a int32, id syn, at time.Duration) {
	attempt := s.at(a)
	if attempt.step == 0 {
		attempt.at = at
	} else {
		s.unlink(a)
		attempt.at = min(attempt.at, at)
	}
	s.syns(a)[attempt.step] = id
	attempt.step++
	s.push(a)
}

// complete ends an attempt. Its SYNs remain known.
func (s *attempts) complete(a int32, at time.Duration) {
	attempt := s.at(a)
	attempt.complete, attempt.at = true, at
}

// remove forgets the attempt.
func (s *attempts) remove(a int32) {
	s.unlink(a)
	attempt := s.at(a)
	if attempt.elder != none {
		s.at(attempt.elder).junior = attempt.junior
	}
	switch {
	case attempt.junior != none:
		s.at(attempt.junior).elder = attempt.elder
	case attempt.elder != none:
		s.index.places[attempt.place] = attempt.elder
	default:
		s.index.remove(attempt.hash, attempt.place)
	}
	s.free = append(s.free, a)
}

// clear forgets all attempts.
func (s *attempts) clear() {
	for _, l := range []*list{&s.begun, &s.further} {
		for l.oldest != none {
			s.remove(l.oldest)
		}
	}
}

// adopt takes over another store's attempts at those sequences that have a new number.
// If there is not room for all of them, those go that begin would have evicted.
func (s *attempts) adopt(from *attempts, sequences map[int32]int32) {
	var adopted []int32
	for _, l := range []list{from.begun, from.further} {
		for old := l.oldest; old != none; old = from.at(old).newer {
			if _, ok := sequences[from.at(old).key.sequence]; ok {
				adopted = append(adopted, old)
			}
		}
	}
	renumbered := make(map[int32]int32, len(adopted))
	for _, old := range adopted[max(0, len(adopted)-s.limit):] {
		a := s.take()
		renumbered[old] = a
		attempt := s.at(a)
		*attempt = *from.at(old)
		attempt.key.sequence = sequences[attempt.key.sequence]
		attempt.hash = s.index.hash(attempt.key)
		attempt.elder, attempt.junior = none, none
		copy(s.syns(a), from.syns(old))
		s.push(a)
	}
	for old, a := range renumbered { // chains keep their order
		attempt := s.at(a)
		for elder := from.at(old).elder; elder != none; elder = from.at(elder).elder {
			if b, ok := renumbered[elder]; ok {
				attempt.elder, s.at(b).junior = b, a
				break
			}
		}
	}
	for _, head := range renumbered {
		if s.at(head).junior != none {
			continue
		}
		place := s.index.add(s.at(head).hash, head)
		for a := head; a != none; a = s.at(a).elder {
			s.at(a).place = place
		}
	}
}

// A list threads attempts from the oldest to the newest.
type list struct{ oldest, newest int32 }

// listOf returns the list that the attempt belongs to. One that a single knock completed
// has counted no more than any stranger's.
func (s *attempts) listOf(a int32) *list {
	if s.at(a).step > 1 {
		return &s.further
	}
	return &s.begun
}

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

// unlink takes the attempt out of its list. It comes before any change that puts the
// attempt into the other list.
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
