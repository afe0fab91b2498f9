// Package grant is who may be let in, and for how long: grants, and the sources that they
// are for.
package grant

import (
	"net/netip"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/knock"
	"nftknock/nft"
)

// A Grant is that a source may begin connections through a door. Whatever lets somebody
// in, a knock, an administrator or a repair, ends in one. It is a decision of the gate: the
// table holds what comes of it, an element with a timeout and the origin as its comment,
// and knows nothing of why.
type Grant struct {
	Door   string
	Prefix netip.Prefix
	Zone   string    // the interface of a link-local source, which means another host on each link
	Until  time.Time // zero: until revoked
	Origin Origin
	Key    string // of SPA: whose; of Fleet: which gate
}

// Source returns the grant's source as people write it.
func (g Grant) Source() string { return Source{g.Prefix, g.Zone}.String() }

// An Origin is what has granted or revoked: the "by" of events and status.
type Origin string

const (
	Knock Origin = event.ByKnock
	Admin Origin = event.ByAdmin
	SPA   Origin = event.BySPA
	Fleet Origin = event.ByFleet // another gate

	Reload Origin = event.ByReload // revokes with a door
)

// comment is what the kernel keeps of where a grant comes from: the origin, and after a
// blank the key, if there is one.
func (g Grant) comment() string {
	if g.Key == "" {
		return string(g.Origin)
	}
	return string(g.Origin) + " " + g.Key
}

// An ID is what has at most one grant: a source at a door.
type ID struct {
	Door   string
	Prefix netip.Prefix
	Zone   string
}

// ID returns the grant's.
func (g Grant) ID() ID { return ID{g.Door, g.Prefix, g.Zone} }

// Element returns the grant as the table takes it, for the time that is left. One whose time
// is over is none.
func (g Grant) Element() (e nft.Grant, ok bool) {
	e = nft.Grant{Door: g.Door, Source: g.Prefix, Zone: g.Zone, Left: knock.Forever, By: g.comment()}
	if !g.Until.IsZero() {
		e.Left = time.Until(g.Until).Round(time.Millisecond) // as the kernel has it
	}
	return e, e.Left >= time.Millisecond
}

// Of returns the grant that the table held at a time.
func Of(e nft.Grant, at time.Time) Grant {
	g := Grant{Door: e.Door, Prefix: e.Source, Zone: e.Zone, Origin: Origin(e.By)}
	if by, key, ok := strings.Cut(e.By, " "); ok && (by == string(SPA) || by == string(Fleet)) {
		g.Origin, g.Key = Origin(by), key
	}
	if e.Left != knock.Forever {
		g.Until = at.Add(e.Left)
	}
	return g
}

// For returns the grant that a source's knock at a door asks for.
func For(door *knock.Door, source netip.Addr, by Origin) Grant {
	s := SourceOf(source).Widen(door)
	return Grant{Door: door.Name, Prefix: s.Prefix, Zone: s.Zone, Until: EndAfter(door.OpenTimeout), Origin: by}
}

// EndAfter returns when a grant ends that is made now; the zero time is never.
func EndAfter(d time.Duration) time.Time {
	if d == knock.Forever {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// Events returns the events that have told of grants that the table holds.
func Events(held []nft.Grant) (events []event.Event) {
	now := time.Now()
	for _, e := range held {
		g := Of(e, now)
		events = append(events, event.Event{
			Time: e.Since, Kind: event.Granted, Door: g.Door, Source: g.Source(), By: string(g.Origin), Key: g.Key, Until: g.Until,
		})
	}
	return events
}
