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

func (g Grant) key() grantKey { return grantKey{g.Door, g.Source, g.Zone} }

type granted struct {
	until time.Time // zero: forever
	by    string
}

// reset makes the cache hold those on the list, and nobody else.
func (c *grantCache) reset(list []Grant) {
	c.mu.Lock()
	c.grants, c.pruneAt = nil, 0
	c.mu.Unlock()
	for _, g := range list {
		c.add(g)
	}
}

func (c *grantCache) add(grant Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants == nil {
		c.grants = make(map[grantKey]granted)
	}
	g := granted{by: grant.By}
	if grant.Left != knock.Forever {
		g.until = time.Now().Add(grant.Left)
	}
	c.grants[grant.key()] = g
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

func (c *grantCache) remove(g Grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.grants, g.key())
}

// elements returns the elements of those who are to be in a set of the ruleset.
func (c *grantCache) elements(r *Ruleset, s *set) []nftables.SetElement {
	door, ok := cutGrantSuffix(s.name)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var elements []nftables.SetElement
	now := time.Now()
	for key, g := range c.grants {
		if key.door != door {
			continue
		}
		grant := Grant{Door: door, Source: key.source, Zone: key.zone, Left: knock.Forever, By: g.by}
		if !g.until.IsZero() {
			if grant.Left = g.until.Sub(now); grant.Left < leastTimeout {
				continue
			}
		}
		if h, err := r.hold(grant); err == nil && h.set == s.name {
			elements = append(elements, h.elements()...)
		}
	}
	return elements
}
