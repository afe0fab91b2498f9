package gate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
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
	Key    string // of SPA: whose
}

// Source returns the grant's source as people write it.
func (g Grant) Source() string { return Source{g.Prefix, g.Zone}.String() }

// An Origin is what has granted or revoked: the "by" of events and status.
type Origin string

const (
	Knock Origin = event.ByKnock
	Admin Origin = event.ByAdmin
	SPA   Origin = event.BySPA
)

// comment is what the kernel keeps of where a grant comes from: the origin, and after a
// blank the key, if there is one.
func (g Grant) comment() string {
	if g.Key == "" {
		return string(g.Origin)
	}
	return string(g.Origin) + " " + g.Key
}

// A grantKey is what has at most one grant: a source at a door.
type grantKey struct {
	door   string
	source netip.Prefix
	zone   string
}

func (g Grant) key() grantKey { return grantKey{g.Door, g.Prefix, g.Zone} }

// element returns the grant as the table takes it, for the time that is left. One whose time is over is
// none.
func (g Grant) element() (e nft.Grant, ok bool) {
	e = nft.Grant{Door: g.Door, Source: g.Prefix, Zone: g.Zone, Left: knock.Forever, By: g.comment()}
	if !g.Until.IsZero() {
		e.Left = time.Until(g.Until).Round(time.Millisecond) // as the kernel has it
	}
	return e, e.Left >= time.Millisecond
}

// grantIn returns the grant that the table holds.
func grantIn(e nft.Grant) Grant {
	by, key := originOf(e)
	return Grant{Door: e.Door, Prefix: e.Source, Zone: e.Zone, Until: endAfter(e.Left), Origin: Origin(by), Key: key}
}

// grantOf returns the grant that a source's knock at a door asks for.
func grantOf(door *knock.Door, source netip.Addr, by Origin) Grant {
	return Grant{Door: door.Name, Prefix: widen(door, sourceOf(source)).Prefix, Zone: source.Zone(), Until: endAfter(door.OpenTimeout), Origin: by}
}

// endAfter returns when a grant ends that is made now.
func endAfter(d time.Duration) time.Time {
	if d == knock.Forever {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// A decision is a grant, or that it is revoked.
type decision struct {
	Grant
	revoke bool
}

// carryOut has the kernel hold a decision, and queues the event that says so. The packet
// that asked for it arrived at a time, which is zero if none did. The lock is held.
func (s *state) carryOut(d decision, arrived time.Time) error {
	if d.revoke {
		return s.revoke(d.Grant)
	}
	_, err := s.apply(arrived, d.Grant)
	return err
}

// apply grants, in one transaction, and returns what lets each source in: its grant, or one of a
// wider prefix that lasts longer.
func (s *state) apply(arrived time.Time, grants ...Grant) (in []Grant, err error) {
	var fresh []Grant
	var elements, within []nft.Grant
	for _, grant := range grants {
		e, ok := grant.element()
		if !ok {
			continue
		}
		others, err := s.table.Overlapping(e)
		if err != nil {
			return nil, fmt.Errorf("cannot grant: %w", err)
		}
		covering, inside, err := settle(e, others)
		if err != nil {
			return nil, err
		}
		if covering != nil {
			in = append(in, grantIn(*covering))
			continue
		}
		in, fresh, elements, within = append(in, grant), append(fresh, grant), append(elements, e), append(within, inside...)
	}
	if len(fresh) == 0 {
		return in, nil
	}
	if err := s.table.Grant(elements...); err != nil {
		return nil, fmt.Errorf("cannot grant: %w", err)
	}
	for _, e := range within {
		old := grantIn(e)
		old.Origin = fresh[0].Origin
		s.revoked(old)
	}
	for _, grant := range fresh {
		s.granted(grant, arrived)
	}
	return in, nil
}

// granted notes that the kernel has taken a grant.
func (s *state) granted(grant Grant, arrived time.Time) {
	delete(s.since, grant.key())
	if grant.Until.IsZero() {
		s.since[grant.key()] = time.Now()
	}
	e := event.Event{Kind: event.Granted, Door: grant.Door, Source: grant.Source(), By: string(grant.Origin), Key: grant.Key, Until: grant.Until}
	if !arrived.IsZero() {
		e.Took = time.Since(arrived)
	}
	s.happened(e)
}

// revoke ends grants, in one transaction. Their Origin is what revokes them.
func (s *state) revoke(grants ...Grant) error {
	elements := make([]nft.Grant, len(grants))
	for i, grant := range grants {
		elements[i] = nft.Grant{Door: grant.Door, Source: grant.Prefix, Zone: grant.Zone}
	}
	if err := s.table.Revoke(elements...); err != nil {
		return fmt.Errorf("cannot revoke: %w", err)
	}
	for _, grant := range grants {
		s.revoked(grant)
	}
	return nil
}

// revoked notes that the kernel has ended a grant.
func (s *state) revoked(grant Grant) {
	delete(s.since, grant.key())
	s.happened(event.Event{Kind: event.Revoked, Door: grant.Door, Source: grant.Source(), By: string(grant.Origin)})
}

// maxBatch is how many grants change in one transaction: packets wait for it.
const maxBatch = 256

// Apply makes grants, up to [maxBatch] of them in one transaction; wide prefixes, which may take
// the place of others, one by one. If the kernel refuses it returns the error, and does not
// repeat them: whoever asked knows that they failed.
func (g *Gate) Apply(grants ...Grant) error {
	_, err := g.applyAll(grants)
	return err
}

// applyAll is Apply, and returns what lets the sources in.
func (g *Gate) applyAll(grants []Grant) (in []Grant, err error) {
	narrow, wide, err := g.fit(grants)
	if err != nil {
		return nil, err
	}
	apply := func(batch []Grant) error {
		g.state.Lock()
		defer g.unlock()
		for _, grant := range batch {
			g.state.repair.supersede(grant.key())
		}
		granted, err := g.state.apply(time.Time{}, batch...)
		in = append(in, granted...)
		return err
	}
	for batch := range slices.Chunk(narrow, maxBatch) {
		if err := apply(batch); err != nil {
			return in, err
		}
	}
	for _, grant := range wide {
		if err := apply([]Grant{grant}); err != nil {
			return in, err
		}
	}
	return in, nil
}

// fit returns grants as wide as their doors have them, and apart from them those of wide prefixes.
func (g *Gate) fit(grants []Grant) (narrow, wide []Grant, err error) {
	g.state.Lock()
	defer g.unlock()
	for _, grant := range grants {
		door, err := g.state.door(grant.Door)
		if err != nil {
			return nil, nil, err
		}
		fitted, err := fitSource(door, Source{grant.Prefix, grant.Zone})
		if err != nil {
			return nil, nil, err
		}
		grant.Prefix = fitted.Prefix
		if isWide(door, fitted) {
			wide = append(wide, grant)
		} else {
			narrow = append(narrow, grant)
		}
	}
	return narrow, wide, nil
}

// Open grants a source access on an administrator's behalf, for the door's open_timeout if the
// duration is 0, and returns the grant that lets the source in.
func (g *Gate) Open(door string, source Source, d time.Duration) (Grant, error) {
	if err := source.checkZone(); err != nil {
		return Grant{}, err
	}
	if d == 0 {
		g.state.Lock()
		config, err := g.state.door(door)
		g.unlock()
		if err != nil {
			return Grant{}, err
		}
		d = config.OpenTimeout
	}
	in, err := g.applyAll([]Grant{{Door: door, Prefix: source.Prefix, Zone: source.Zone, Until: endAfter(d), Origin: Admin}})
	if err != nil {
		return Grant{}, err
	}
	if len(in) == 0 {
		return Grant{}, fmt.Errorf("cannot grant: %v is over already", d)
	}
	return in[0], nil
}

// Revoke ends the grants of a door within a source, or all of them if the source is not valid, and
// returns them. If a wider prefix still lets the source in the error is a [*StillGrantedError].
func (g *Gate) Revoke(name string, source Source, by Origin) ([]Grant, error) {
	s := &g.state
	s.Lock()
	door, err := s.door(name)
	table := s.cfg.Table
	if err == nil && source.Prefix.IsValid() {
		source = widen(door, source)
	}
	s.repair.withdraw(name, source.Prefix)
	g.unlock()
	if err != nil {
		return nil, err
	}
	snapshot, err := g.inspect(table)
	if err != nil {
		return nil, err
	}
	var within []Grant
	var still *StillGrantedError
	for _, e := range snapshot.Grants {
		switch {
		case e.Door != name || !source.overlaps(e):
		case source.Prefix.IsValid() && e.Source.Bits() < source.Prefix.Bits():
			still = &StillGrantedError{Door: name, Source: source.String(), With: e.Source}
		default:
			within = append(within, Grant{Door: name, Prefix: e.Source, Zone: e.Zone, Origin: by})
		}
	}
	var revoked []Grant
	for batch := range slices.Chunk(within, maxBatch) {
		if err := g.revoke(batch...); err != nil {
			return revoked, err
		}
		revoked = append(revoked, batch...)
	}
	if still != nil {
		return revoked, still
	}
	return revoked, nil
}

// revoke takes the lock for some grants: packets do not wait for all of them.
func (g *Gate) revoke(grants ...Grant) error {
	g.state.Lock()
	defer g.unlock()
	if _, err := g.state.door(grants[0].Door); err != nil { // a reload has taken it away
		return err
	}
	return g.state.revoke(grants...)
}

// door returns the door of that name. The lock is held.
func (s *state) door(name string) (*knock.Door, error) {
	if door := FindDoor(s.cfg, name); door != nil {
		return door, nil
	}
	return nil, &NoDoorError{Name: name, Doors: DoorNames(s.cfg)}
}

// A NoDoorError says that there is no door of a name.
type NoDoorError struct {
	Name  string
	Doors []string // there are
}

func (e *NoDoorError) Error() string {
	text := fmt.Sprintf("no door is named %q: ", e.Name)
	switch len(e.Doors) {
	case 0:
		return text + "none is configured"
	case 1:
		return text + "there is " + e.Doors[0]
	}
	return text + "there are " + strings.Join(e.Doors, ", ")
}

// FindDoor returns the door of that name, or nil.
func FindDoor(cfg *config.Config, name string) *knock.Door {
	i := slices.IndexFunc(cfg.Doors, func(d knock.Door) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &cfg.Doors[i]
}

// DoorNames returns the names of a configuration's doors, in its order.
func DoorNames(cfg *config.Config) []string {
	names := make([]string, len(cfg.Doors))
	for i, d := range cfg.Doors {
		names[i] = d.Name
	}
	return names
}
