package nft

import (
	"net/netip"
	"time"

	"github.com/google/nftables"

	"nftknock/knock"
)

// people remembers who was let in. The zero value remembers nobody.
type people struct {
	in      map[place]stay
	pruneAt int // how many there are when those whose time is over are next forgotten
}

// A place is who is let in, and through which door.
type place struct {
	door   string
	source netip.Prefix
	zone   string
}

// keyType is that of the set that it is in.
func (p place) keyType() nftables.SetDatatype {
	if p.zone != "" {
		return linkKeyType
	}
	return familyOf(p.source.Addr()).keyType
}

type stay struct {
	until time.Time // zero: forever
	by    string
}

func remember(list []Person) people {
	var p people
	for _, person := range list {
		p.letIn(person)
	}
	return p
}

func (p *people) letIn(person Person) {
	if p.in == nil {
		p.in = make(map[place]stay)
	}
	s := stay{by: person.By}
	if person.Left != knock.Forever {
		s.until = time.Now().Add(person.Left)
	}
	p.in[place{person.Door, person.Source, person.Zone}] = s
	if len(p.in) > p.pruneAt {
		p.prune(time.Now())
	}
}

// prune forgets those whose time is over, which the kernel does by itself. It
// is done when there are twice as many as it left the last time.
func (p *people) prune(now time.Time) {
	for place, s := range p.in {
		if !s.until.IsZero() && !s.until.After(now) {
			delete(p.in, place)
		}
	}
	p.pruneAt = 2*len(p.in) + 1024
}

func (p *people) putOut(person Person) {
	delete(p.in, place{person.Door, person.Source, person.Zone})
}

// of returns the elements of those who are to be in a door's set.
func (p *people) of(s *set) []nftables.SetElement {
	if !s.timeout {
		return nil
	}
	var elements []nftables.SetElement
	now := time.Now()
	for place, stay := range p.in {
		if place.door != doorOf(s.name) || place.keyType() != s.keyType {
			continue
		}
		e := peopleElements(place.source, s.interval)
		if place.zone != "" {
			e = []nftables.SetElement{{Key: linkKey(place.source.Addr().WithZone(place.zone))}}
		}
		e[0].Comment = stay.by
		if !stay.until.IsZero() {
			left := stay.until.Sub(now)
			if left < time.Millisecond { // the kernel would take it for no timeout
				continue
			}
			e[0].Timeout = left
		}
		elements = append(elements, e...)
	}
	return elements
}
