package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/nftables"

	"nftknock/knock"
)

// A Person is a source that a door lets in.
type Person struct {
	Door   string
	Source netip.Prefix
	Zone   string        // the interface of a link-local source
	Left   time.Duration // how much longer, to the millisecond; knock.Forever without end
	Since  time.Time     // zero if there is no end: the kernel does not say
	By     string        // what let the source in: the element's comment
}

// LetIn lets a source, as wide as the door's prefixes say, in through the door
// for the timeout, counted from now: at least a millisecond, or knock.Forever. The
// comment is shown beside it.
func (t *Table) LetIn(door string, source netip.Addr, timeout time.Duration, comment string) (netip.Prefix, error) {
	set, elements, person, err := t.find(door, source)
	if err != nil {
		return netip.Prefix{}, err
	}
	elements[0].Comment = comment
	if timeout != knock.Forever {
		elements[0].Timeout = timeout
	}
	err = send(t.socket, addElements(set, elements))
	if err != nil {
		return person.Source, err
	}
	if !t.owned {
		person.Left, person.By = timeout, comment
		t.grants.add(person)
	}
	return person.Source, nil
}

// PutOut takes a source out again, if it is in.
func (t *Table) PutOut(door string, source netip.Addr) (netip.Prefix, error) {
	set, elements, person, err := t.find(door, source)
	if err != nil {
		return netip.Prefix{}, err
	}
	err = send(t.socket, removeElements(set, elements))
	if err != nil {
		return person.Source, err
	}
	t.grants.remove(person)
	return person.Source, nil
}

// find returns the door's set for the source, and what of the source the door lets in.
// A link-local source has a zone, and is let in alone.
func (t *Table) find(door string, source netip.Addr) (*nftables.Set, []nftables.SetElement, Person, error) {
	d := t.rules.doors[door]
	if d == nil {
		return nil, nil, Person{}, fmt.Errorf("no door is named %q", door)
	}
	if isLinkLocal(source) {
		if source.Zone() == "" {
			return nil, nil, Person{}, fmt.Errorf("%v means another host on each link: want %[1]v%%INTERFACE", source)
		}
		set := &nftables.Set{Table: t.table, Name: linkSet(door), KeyType: linkKeyType, HasTimeout: true}
		p := Person{Door: door, Source: netip.PrefixFrom(source, ipv6.bits), Zone: source.Zone()}
		return set, []nftables.SetElement{{Key: linkKey(source)}}, p, nil
	}
	f := familyOf(source)
	prefix, err := source.WithZone("").Prefix(prefixLen(d, f))
	if err != nil {
		return nil, nil, Person{}, fmt.Errorf("%v: %w", source, err)
	}
	set := &nftables.Set{
		Table: t.table, Name: openSet(door, f), KeyType: f.keyType, HasTimeout: true, Interval: prefixLen(d, f) < f.bits,
	}
	return set, peopleElements(prefix, set.Interval), Person{Door: door, Source: prefix}, nil
}

// peopleElements returns the elements for a prefix, in a set with intervals or without.
func peopleElements(p netip.Prefix, interval bool) []nftables.SetElement {
	e := prefixElement(p)
	if !interval {
		e.end = nil
	}
	return e.kernel()
}

// People returns who is let in, through which door, and for how long.
func (t *Table) People() ([]Person, error) {
	var people []Person
	for _, s := range t.rules.sets {
		if !s.timeout {
			continue
		}
		in, err := peopleIn(t.query, s.kernel(t.table))
		if err != nil {
			return nil, err
		}
		people = append(people, in...)
	}
	return people, nil
}

// peopleIn returns who is in a door's set.
func peopleIn(c *nftables.Conn, set *nftables.Set) ([]Person, error) {
	elements, err := readElements(c, set)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var people []Person
	for _, e := range elements {
		p := personOf(set.Name, e, set.Interval)
		p.Left = knock.Forever
		if !p.Source.IsValid() {
			continue // in a set that somebody else has made
		}
		if e.Timeout != 0 {
			p.Left, p.Since = e.Expires, now.Add(e.Expires-e.Timeout)
		}
		people = append(people, p)
	}
	return people, nil
}

// personOf returns who an element of a door's set is.
func personOf(set string, e nftables.SetElement, interval bool) Person {
	p := Person{Door: doorOf(set), By: e.Comment}
	if source := linkSource(e.Key); source.IsValid() {
		p.Source, p.Zone = netip.PrefixFrom(source, ipv6.bits), source.Zone()
	} else {
		p.Source = prefixOf(e, interval)
	}
	return p
}

// doorOf is the inverse of openSet and linkSet.
func doorOf(set string) string {
	if door, ok := strings.CutSuffix(set, linkSuffix); ok {
		return door
	}
	return set[:strings.LastIndex(set, "_open")]
}

// prefixOf returns the longest prefix that holds an element: the element
// itself, unless somebody has put an interval there that is no prefix.
func prefixOf(e nftables.SetElement, interval bool) netip.Prefix {
	first, ok := netip.AddrFromSlice(e.Key)
	if !ok {
		return netip.Prefix{}
	}
	p := netip.PrefixFrom(first, first.BitLen())
	if !interval {
		return p
	}
	last := lastOf(netip.PrefixFrom(first, 0))
	if end, ok := netip.AddrFromSlice(e.KeyEnd); ok && end.BitLen() == first.BitLen() {
		last = end.Prev()
	}
	for lastOf(p).Less(last) {
		p = netip.PrefixFrom(first, p.Bits()-1).Masked()
	}
	return p
}

// refit turns the elements of a door's set into those of the set that takes its
// place when the door's prefix changes, with the time each has left.
func (r *Ruleset) refit(set *nftables.Set, elements []nftables.SetElement) []nftables.SetElement {
	d := r.doors[doorOf(set.Name)]
	var refitted []nftables.SetElement
	seen := make(map[netip.Prefix]int)
	for _, e := range elements {
		old := prefixOf(e, set.Interval)
		f := familyOf(old.Addr())
		p, err := old.Addr().Prefix(prefixLen(d, f))
		if err != nil {
			continue
		}
		fresh := peopleElements(p, prefixLen(d, f) < f.bits)
		fresh[0].Timeout, fresh[0].Comment = remaining(e), e.Comment
		// Two sources may fall together: the one that stays longer counts.
		if i, ok := seen[p]; ok {
			if other := &refitted[i]; other.Timeout != 0 && (fresh[0].Timeout == 0 || fresh[0].Timeout > other.Timeout) {
				other.Timeout = fresh[0].Timeout
			}
			continue
		}
		seen[p] = len(refitted)
		refitted = append(refitted, fresh...)
	}
	return refitted
}
