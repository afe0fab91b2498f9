package knock

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// A Scan says what the tracker does about those who scan ports.
type Scan struct {
	// Decoys are ports that no sequence contains and nobody knocks who knows one: who
	// touches one is muted.
	Decoys []Port

	// Mute is how long a source is ignored after it last touched a decoy, or knocked a
	// wrong code. Its attempts under way are forgotten. Over IPv6 the whole /64 is muted,
	// of which anybody may have all addresses (RFC 4291, section 2.5.4), and once
	// MutedNetworks networks of one /48 are, which is what a site has (RFC 6177), the /48
	// is. Over IPv4 neighbours are strangers who have but few addresses: the address
	// alone is muted, as a /24, the least that is routed, gives no more than 256 tries,
	// while sixteen spoofed packets would mute everybody in it.
	Mute time.Duration
}

// MutedNetworks is how many /64s of a /48 are muted before the whole /48 is.
const MutedNetworks = 16

// muted remembers who is ignored: at most a given number of sources and networks, of whom
// the one that was touched longest ago goes first, and a /48 after all others.
//
// They are kept as attempts: a key is an IPv4 address, or an IPv6 network of 48 bits, whose
// chain has an attempt for each /64 that is muted, or only one if all of them are.
type muted struct {
	sources *attempts
	mute    time.Duration
	memory  time.Duration // until all that was under way before has run out of time
}

// never is before all times.
const never = time.Duration(math.MinInt64)

// The steps of what is muted: what is further on is evicted last.
const (
	mutedPart  = 1
	mutedWhole = 2
)

func newMuted(limit int, mute, slowest time.Duration) *muted {
	return &muted{sources: newAttempts(limit, 0), mute: mute, memory: max(mute, slowest)}
}

// keyOf returns the key under which a source is muted, and its part of that.
func (m *muted) keyOf(source netip.Addr, keys *keys) (key, uint16) {
	if source.Is4() {
		return keys.of(source, none), 0
	}
	address := source.As16()
	part := binary.BigEndian.Uint16(address[6:])
	clear(address[6:])
	return keys.of(netip.AddrFrom16(address).WithZone(source.Zone()), none), part
}

// chain returns the head and the length of the chain of a key, without what is long over,
// and the attempt in it that mutes a part, or none.
func (m *muted) chain(k *key, h hash, part uint16, now time.Duration) (head, found int32, length int) {
	head, found = m.sources.find(k, h), none
	for a := head; a != none; {
		attempt := m.sources.at(a)
		elder := attempt.elder
		if m.over(attempt, now) {
			m.sources.remove(a)
			if a == head {
				head = elder
			}
		} else {
			length++
			if attempt.part == part || attempt.step == mutedWhole {
				found = a
			}
		}
		a = elder
	}
	return head, found, length
}

func (m *muted) over(a *attempt, now time.Duration) bool { return now-a.at > m.memory }

// find reports whether a source is muted. If it was until lately, since is when it was
// touched last; otherwise that is before all times.
func (m *muted) find(source netip.Addr, keys *keys, now time.Duration) (muted bool, since time.Duration) {
	if m.sources.len() == 0 {
		return false, never
	}
	k, part := m.keyOf(source, keys)
	_, a, _ := m.chain(&k, m.sources.index.hash(k), part, now)
	if a == none {
		return false, never
	}
	since = m.sources.at(a).at
	return now-since <= m.mute, since
}

// touch mutes a source, or renews that. It reports whether the source was listened to
// until now.
func (m *muted) touch(source netip.Addr, keys *keys, now time.Duration) (fresh bool) {
	m.forgetExpired(now)
	k, part := m.keyOf(source, keys)
	h := m.sources.index.hash(k)
	head, a, length := m.chain(&k, h, part, now)
	whole := false
	fresh = true
	if a != none {
		fresh = now-m.sources.at(a).at > m.mute
		whole = m.sources.at(a).step == mutedWhole
		if a == head {
			head = m.sources.at(a).elder
		}
		m.sources.remove(a)
	} else if whole = length >= MutedNetworks-1; whole {
		head = m.removeAll(head)
	}
	a = m.sources.begin(&k, h, head)
	attempt := m.sources.at(a)
	attempt.part, attempt.at, attempt.step = part, now, mutedPart
	if whole {
		attempt.step = mutedWhole
	}
	m.sources.push(a)
	return fresh
}

// forgive ends the mute of a source, or of the network that is muted with it, and returns
// which that was; no valid prefix if none was.
func (m *muted) forgive(source netip.Addr, keys *keys, now time.Duration) (was netip.Prefix) {
	if muted, _ := m.find(source, keys, now); !muted {
		return was
	}
	k, part := m.keyOf(source, keys)
	_, a, _ := m.chain(&k, m.sources.index.hash(k), part, now)
	was = m.sources.at(a).network()
	m.sources.remove(a)
	return was
}

// linkLocal stands for a network whose key does not tell its link.
var linkLocal = netip.MustParsePrefix("fe80::/64")

// network returns what an attempt of muted mutes.
func (a *attempt) network() netip.Prefix {
	address := a.key.source
	switch {
	case netip.AddrFrom16(address).Is4In6():
		return netip.PrefixFrom(netip.AddrFrom16(address).Unmap(), 32)
	case [10]byte(address[6:]) != [10]byte{}: // a hash
		return linkLocal
	case a.step == mutedWhole:
		return netip.PrefixFrom(netip.AddrFrom16(address), 48)
	}
	binary.BigEndian.PutUint16(address[6:], a.part)
	return netip.PrefixFrom(netip.AddrFrom16(address), 64)
}

// A MutedSource is an address or a network that is not listened to. One of a link is
// fe80::/64, whichever link it is.
type MutedSource struct {
	Prefix netip.Prefix
	Until  time.Time // if it touches no decoy until then
}

// MutedSources returns who is muted at a time, at most so many: whole sites first, then those
// that were muted last. It also returns how many there are.
func (t *Tracker) MutedSources(at time.Time, most int) (sources []MutedSource, total int) {
	m, now := t.muted, max(t.now, at.Sub(t.epoch))
	for _, l := range []list{m.sources.further, m.sources.begun} {
		for a := l.newest; a != none; a = m.sources.at(a).older {
			source := m.sources.at(a)
			if now-source.at > m.mute {
				break // as are all older ones
			}
			if total++; total <= most {
				sources = append(sources, MutedSource{source.network(), t.epoch.Add(source.at + m.mute)})
			}
		}
	}
	return sources, total
}

// removeAll forgets a chain.
func (m *muted) removeAll(head int32) int32 {
	for head != none {
		elder := m.sources.at(head).elder
		m.sources.remove(head)
		head = elder
	}
	return none
}

// forgetExpired frees a little of what is over, as with attempts.
func (m *muted) forgetExpired(now time.Duration) {
	for _, list := range []*list{&m.sources.begun, &m.sources.further} {
		for range 2 {
			a := list.oldest
			if a == none || !m.over(m.sources.at(a), now) {
				break
			}
			m.sources.remove(a)
		}
	}
}

// adopt takes over who is muted in another one.
func (m *muted) adopt(from *muted) {
	m.sources.adopt(from.sources, map[int32]int32{none: none})
}
