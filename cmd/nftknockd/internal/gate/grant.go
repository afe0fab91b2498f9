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
func (g Grant) Source() string { return sourceName(g.Prefix, g.Zone) }

func (g Grant) addr() netip.Addr { return g.Prefix.Addr().WithZone(g.Zone) }

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

// grantOf returns the grant that a source's knock at a door asks for.
func grantOf(door *knock.Door, source netip.Addr, by Origin) Grant {
	return Grant{Door: door.Name, Prefix: widthOf(door, source), Zone: source.Zone(), Until: endAfter(door.OpenTimeout), Origin: by}
}

// widthOf returns the prefix that a door lets in with a source. A link-local one is let in
// alone.
func widthOf(door *knock.Door, source netip.Addr) netip.Prefix {
	bits := door.IPv4Prefix
	switch {
	case source.Is6() && source.IsLinkLocalUnicast():
		bits = source.BitLen()
	case source.Is6():
		bits = door.IPv6Prefix
	}
	p, _ := source.WithZone("").Prefix(bits)
	return p
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
	return s.apply(d.Grant, arrived)
}

// apply grants. A grant whose time is over is none.
func (s *state) apply(grant Grant, arrived time.Time) error {
	timeout := knock.Forever
	if !grant.Until.IsZero() {
		// To the millisecond, as the kernel has it: 0 would be no timeout.
		if timeout = time.Until(grant.Until).Round(time.Millisecond); timeout < time.Millisecond {
			return nil
		}
	}
	if _, err := s.table.LetIn(grant.Door, grant.addr(), timeout, grant.comment()); err != nil {
		return fmt.Errorf("cannot grant: %w", err)
	}
	delete(s.since, grant.key())
	if grant.Until.IsZero() {
		s.since[grant.key()] = time.Now()
	}
	e := event.Event{Kind: event.Granted, Door: grant.Door, Source: grant.Source(), By: string(grant.Origin), Key: grant.Key, Until: grant.Until}
	if !arrived.IsZero() {
		e.Took = time.Since(arrived)
	}
	s.happened(e)
	return nil
}

// revoke ends a grant. Its Origin is what revokes it.
func (s *state) revoke(grant Grant) error {
	if _, err := s.table.PutOut(grant.Door, grant.addr()); err != nil {
		return fmt.Errorf("cannot revoke: %w", err)
	}
	delete(s.since, grant.key())
	s.happened(event.Event{Kind: event.Revoked, Door: grant.Door, Source: grant.Source(), By: string(grant.Origin)})
	return nil
}

// Apply makes grants. If the kernel refuses it returns the error, and does not repeat
// them: whoever asked knows that they failed.
func (g *Gate) Apply(grants ...Grant) error {
	s := &g.state
	s.Lock()
	defer g.unlock()
	for _, grant := range grants {
		if _, err := s.door(grant.Door); err != nil {
			return err
		}
	}
	for _, grant := range grants {
		s.repair.supersede(grant.key())
		if err := s.apply(grant, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// Open grants all of a prefix on an administrator's behalf, for the door's open_timeout if
// the duration is 0, and returns the grants.
func (g *Gate) Open(door string, source netip.Prefix, d time.Duration) ([]Grant, error) {
	g.state.Lock()
	config, err := g.state.door(door)
	g.unlock()
	if err != nil {
		return nil, err
	}
	prefixes, err := splitPrefix(config, source)
	if err != nil {
		return nil, err
	}
	if d == 0 {
		d = config.OpenTimeout
	}
	end := endAfter(d)
	grants := make([]Grant, len(prefixes))
	for i, p := range prefixes {
		grants[i] = Grant{Door: door, Prefix: p, Until: end, Origin: Admin}
	}
	return grants, g.Apply(grants...)
}

// Revoke ends the grants of a door whose prefixes overlap with a source, or all of them if
// the source is not valid, and returns them.
func (g *Gate) Revoke(door string, source netip.Prefix, by Origin) ([]Grant, error) {
	s := &g.state
	s.Lock()
	_, err := s.door(door)
	table := s.cfg.Table
	s.repair.withdraw(door, source)
	g.unlock()
	if err != nil {
		return nil, err
	}
	snapshot, err := g.inspect(table)
	if err != nil {
		return nil, err
	}
	var revoked []Grant
	for _, p := range snapshot.People {
		if p.Door != door || source.IsValid() && !source.Overlaps(p.Source) {
			continue
		}
		grant := Grant{Door: door, Prefix: p.Source, Zone: p.Zone, Origin: by}
		if err := g.revoke(grant); err != nil {
			return revoked, err
		}
		revoked = append(revoked, grant)
	}
	return revoked, nil
}

// revoke takes the lock for one grant: packets do not wait for all of them.
func (g *Gate) revoke(grant Grant) error {
	g.state.Lock()
	defer g.unlock()
	if _, err := g.state.door(grant.Door); err != nil { // a reload has taken it away
		return err
	}
	return g.state.revoke(grant)
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

// A PrefixError says that a prefix cannot be granted.
type PrefixError struct{ Text string }

func (e *PrefixError) Error() string { return e.Text }

// maxParts bounds for how long packets wait while a prefix is granted.
const maxParts = 256

// splitPrefix returns the prefixes to grant for all of a source to be let in. A door's set
// holds prefixes of one length, so that a knock always finds and renews what an
// administrator has granted: a narrower prefix is widened to it, as an address is, and a
// wider one becomes several.
func splitPrefix(door *knock.Door, source netip.Prefix) ([]netip.Prefix, error) {
	part := widthOf(door, source.Addr())
	if !part.IsValid() {
		return nil, &PrefixError{"not a source"} // of no family
	}
	if wider := part.Bits() - source.Bits(); wider > 8 {
		key := "ipv4_prefix"
		if source.Addr().Is6() {
			key = "ipv6_prefix"
		}
		return nil, &PrefixError{fmt.Sprintf(
			"%v is too wide: door %s grants a /%d at a time (%s), and an administrator %d of them: "+
				"grant a /%d or narrower, or set %s or always_allow in the configuration",
			source, door.Name, part.Bits(), key, maxParts, part.Bits()-8, key)}
	}
	var parts []netip.Prefix
	for part.IsValid() && source.Overlaps(part) {
		parts = append(parts, part)
		part = after(part)
	}
	return parts, nil
}

// after returns the next prefix of the same length; the zero prefix after the last.
func after(p netip.Prefix) netip.Prefix {
	b := p.Addr().AsSlice()
	for bit := p.Bits() - 1; bit >= 0; bit-- {
		mask := byte(0x80) >> (bit % 8)
		b[bit/8] ^= mask
		if b[bit/8]&mask != 0 {
			next, _ := netip.AddrFromSlice(b)
			return netip.PrefixFrom(next, p.Bits())
		}
	}
	return netip.Prefix{}
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
