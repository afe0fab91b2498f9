package knock

import (
	"hash/maphash"
	"math/bits"
)

// An index finds attempts by the hash of their keys. In a flood every source is
// new, and every look at memory a cache miss: so it is made to say "not here" from
// little memory. It is a hash table of groups, each with places for seven attempts,
// and a word that has a tag, a few bits of the hash, for each of them. (The design is
// that of Swiss tables, https://abseil.io/about/design/swisstables.) A group that is full
// spills over into the next, and counts how many have passed it by, so that nothing has
// to move when something is removed: an attempt keeps its place.
//
// The hash is seeded: nobody can choose addresses that fall together.
//
// With Go's own map in its place, a flood that keeps 262,144 sources of three knocks in
// memory leaves 197 bytes a source rather than 108 (Go 1.26).
type index struct {
	seed   maphash.Seed
	groups []uint64 // seven tags, and in the lowest byte how many have passed by
	places []int32  // seven for each group: the numbers of attempts
	len    int
}

const (
	groupLen = 7
	aByte    = 0x0101010101010100 // one in the byte of each tag
	topBits  = aByte << 7         // which is set in the tag of every place that is taken
	manyPass = 0xff               // so many or more have passed by: not counted any more
)

// newIndex returns an index with room for limit attempts, and nearly as many more, so
// that it is rare for groups to be full.
func newIndex(limit int) index {
	groups := limit/4 + 1
	return index{
		seed:   maphash.MakeSeed(),
		groups: make([]uint64, groups),
		places: make([]int32, groups*groupLen),
	}
}

// A hash is that of a key.
type hash uint64

// hashSource hashes what the keys of one source have in common.
func (x *index) hashSource(source [16]byte) hash { return hash(maphash.Bytes(x.seed, source[:])) }

// with returns the hash of the source's key for a sequence.
func (h hash) with(sequence int32) hash {
	// The constant is 2^64 divided by the golden ratio (Knuth, The Art of Computer
	// Programming, volume 3, section 6.4): neighbours end up far apart.
	return (h ^ hash(sequence)) * 0x9e3779b97f4a7c15
}

func (x *index) hash(k key) hash { return x.hashSource(k.source).with(k.sequence) }

// group returns the group where a hash belongs.
func (x *index) group(h hash) int { return int(uint64(h>>32) * uint64(len(x.groups)) >> 32) }

func (x *index) next(group int) int {
	if group++; group < len(x.groups) {
		return group
	}
	return 0
}

// tag returns what marks the place of a hash in its group's word.
func (h hash) tag() uint64 { return uint64(h&0x7f | 0x80) }

// find returns the attempt of that hash which is the right one, or none.
func (x *index) find(h hash, right func(a int32) bool) int32 {
	for g := x.group(h); ; g = x.next(g) {
		word := x.groups[g]
		// A byte that is the tag becomes 0, and that sets its top bit (Knuth, volume 4A,
		// section 7.1.3, equation 90). The one above may be set wrongly.
		differ := word ^ h.tag()*aByte
		for m := (differ - aByte) &^ differ & topBits; m != 0; m &= m - 1 {
			if a := x.places[g*groupLen+placeOf(m)]; right(a) {
				return a
			}
		}
		if word&0xff == 0 {
			return none
		}
	}
}

// placeOf returns the first place whose top bit is set.
func placeOf(m uint64) int { return bits.TrailingZeros64(m)/8 - 1 }

// add returns the place that the attempt gets.
func (x *index) add(h hash, a int32) (place int32) {
	g := x.group(h)
	for ; ^x.groups[g]&topBits == 0; g = x.next(g) {
		if x.groups[g]&0xff != manyPass {
			x.groups[g]++
		}
	}
	i := placeOf(^x.groups[g] & topBits)
	x.groups[g] |= h.tag() << (8 * (i + 1))
	x.places[g*groupLen+i] = a
	x.len++
	return int32(g*groupLen + i)
}

// remove frees a place.
func (x *index) remove(h hash, place int32) {
	last := int(place / groupLen)
	for g := x.group(h); g != last; g = x.next(g) {
		if x.groups[g]&0xff != manyPass {
			x.groups[g]--
		}
	}
	x.groups[last] &^= 0xff << (8 * (place%groupLen + 1))
	x.len--
}
