package knock

import (
	"net/netip"
	"time"
)

// A Scan says what the tracker does about those who try ports.
type Scan struct {
	// Decoys are ports that no sequence contains and nobody who knows one knocks: who
	// touches one is muted.
	Decoys []Port

	// Mute is how long somebody is not listened to after the last touch of a decoy, or
	// after a wrong code. What was in progress is forgotten. Over IPv6 that goes for the
	// whole /64, of which anybody may have all addresses (RFC 4291, section 2.5.4).
	Mute time.Duration
}

// muted remembers who is not listened to: at most a given number, of whom the longest
// muted goes first.
type muted struct {
	sources *attempts // since when, as attempts at the sequence none
	mute    time.Duration
	memory  time.Duration // until whatever was in progress before has run out of time
}

func newMuted(limit int, mute, slowest time.Duration) *muted {
	return &muted{sources: newAttempts(limit, 1), mute: mute, memory: max(mute, slowest)}
}

func mutedKey(source netip.Addr) key {
	k := keyOf(source, none)
	if !source.Is4() {
		clear(k.source[8:])
	}
	return k
}

// find says whether a source is muted. If it is no more, but was lately, then since is
// when it was for the last time; otherwise that is before everything.
func (m *muted) find(source netip.Addr, now time.Duration) (muted bool, since time.Duration) {
	if m.sources.index.len == 0 {
		return false, -1
	}
	k := mutedKey(source)
	a := m.sources.find(&k, m.sources.index.hash(k))
	if a == none || m.sources.expire(a, now, m.memory) {
		return false, -1
	}
	since = m.sources.at(a).since
	return now-since <= m.mute, since
}

// touch mutes a source, or renews that. It says whether the source was listened to until
// now.
func (m *muted) touch(source netip.Addr, now time.Duration) (fresh bool) {
	for range 2 { // as with attempts, no timer is needed
		if oldest := m.sources.begun.oldest; oldest == none || !m.sources.expire(oldest, now, m.memory) {
			break
		}
	}
	k := mutedKey(source)
	h := m.sources.index.hash(k)
	a := m.sources.find(&k, h)
	fresh = a == none || now-m.sources.at(a).since > m.mute
	if a != none {
		m.sources.remove(a)
	}
	m.sources.count(m.sources.begin(k, h), 0, now)
	return fresh
}

// adopt takes over who is muted in another one.
func (m *muted) adopt(from *muted) {
	m.sources.adopt(from.sources, map[int32]int32{none: none})
}
