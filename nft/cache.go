package nft

import (
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"

	"nftknock/knock"
)

// A grantCache remembers who is let in, for when somebody takes the table away. Of a table that is
// owned it is empty.
type grantCache struct {
	mu      sync.Mutex
	grants  map[grantKey]granted
	pruneAt int // how many there are when those whose time is over are next forgotten
}

// A grantKey is who is let in, and through which door.
type grantKey struct {
	door   string
	source netip.Prefix
	zone   string
}

// keyType is that of the set that it is in.
func (k grantKey) keyType() nftables.SetDatatype {
	if k.zone != "" {
		return linkKeyType
	}
	return familyOf(k.source.Addr()).keyType
}

type granted struct {
	until time.Time // zero: forever
	by    string
}

// reset makes the cache hold those on the list, and nobody else.
func (c *grantCache) reset(list []Person) {
	c.mu.Lock()
	c.grants, c.pruneAt = nil, 0
	c.mu.Unlock()
	for _, p := range list {
		c.add(p)
	}
}

func (c *grantCache) add(p Person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil {
		c.grants = make(map[grantKey]granted)
	}
	g := granted{by: p.By}
	if p.Left != knock.Forever {
		g.until = time.Now().Add(p.Left)
	}
	c.grants[grantKey{p.Door, p.Source, p.Zone}] = g
	if len(c.grants) > c.pruneAt {
		c.prune(time.Now())
	}
}

// prune forgets those whose time is over, which the kernel does by itself. It
// is done when there are twice as many as it left the last time.
func (c *grantCache) prune(now time.Time) {
	for key, g := range c.grants {
		if !g.until.IsZero() && !g.until.After(now) {
			delete(c.grants, key)
		}
	}
	c.pruneAt = 2*len(c.grants) + 1024
}

func (c *grantCache) remove(p Person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.grants, grantKey{p.Door, p.Source, p.Zone})
}

// elements returns the elements of those who are to be in a door's set.
func (c *grantCache) elements(s *set) []nftables.SetElement {
	if !s.timeout {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var elements []nftables.SetElement
	now := time.Now()
	for key, g := range c.grants {
		if key.door != doorOf(s.name) || key.keyType() != s.keyType {
			continue
		}
		e := peopleElements(key.source, s.interval)
		if key.zone != "" {
			e = []nftables.SetElement{{Key: linkKey(key.source.Addr().WithZone(key.zone))}}
		}
		e[0].Comment = g.by
		if !g.until.IsZero() {
			left := g.until.Sub(now)
			if left < time.Millisecond { // the kernel would take it for no timeout
				continue
			}
			e[0].Timeout = left
		}
		elements = append(elements, e...)
	}
	return elements
}
