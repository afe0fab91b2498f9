package gate

import (
	"fmt"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/grant"
)

// maxBatch is how many grants change in one transaction: packets wait for it.
const maxBatch = 256

// Apply makes grants, up to [maxBatch] of them in one transaction; wide prefixes, which may take
// the place of others, one by one. If the kernel refuses it returns the error, and does not
// repeat them: whoever asked knows that they failed.
func (g *Gate) Apply(grants ...grant.Grant) error {
	_, err := g.applyAll(grants)
	return err
}

// applyAll is Apply, and returns what lets the sources in.
func (g *Gate) applyAll(grants []grant.Grant) (in []grant.Grant, err error) {
	narrow, wide, err := grant.Fit(g.Config(), grants)
	if err != nil {
		return nil, err
	}
	apply := func(batch []grant.Grant) error {
		g.state.Lock()
		defer g.unlock()
		for _, one := range batch {
			g.state.grants.Supersede(one.ID())
		}
		granted, err := g.state.grants.Apply(time.Time{}, batch...)
		in = append(in, granted...)
		return err
	}
	for batch := range slices.Chunk(narrow, maxBatch) {
		if err := apply(batch); err != nil {
			return in, err
		}
	}
	for _, one := range wide {
		if err := apply([]grant.Grant{one}); err != nil {
			return in, err
		}
	}
	return in, nil
}

// Open grants a source access on an administrator's behalf, for the door's open_timeout if the
// duration is 0, and returns the grant that lets the source in.
func (g *Gate) Open(door string, source grant.Source, d time.Duration) (grant.Grant, error) {
	if err := source.CheckZone(); err != nil {
		return grant.Grant{}, err
	}
	if d == 0 {
		config, err := g.Config().Door(door)
		if err != nil {
			return grant.Grant{}, err
		}
		d = config.OpenTimeout
	}
	in, err := g.applyAll([]grant.Grant{{Door: door, Prefix: source.Prefix, Zone: source.Zone, Until: grant.EndAfter(d), Origin: grant.Admin}})
	if err != nil {
		return grant.Grant{}, err
	}
	if len(in) == 0 {
		return grant.Grant{}, fmt.Errorf("cannot grant: %v is over already", d)
	}
	return in[0], nil
}

// Revoke ends the grants of a door within a source, or all of them if the source is not valid, and
// returns them. If a wider prefix still lets the source in the error is a [*grant.StillGrantedError].
func (g *Gate) Revoke(name string, source grant.Source, by grant.Origin) ([]grant.Grant, error) {
	s := &g.state
	s.Lock()
	door, err := s.cfg.Door(name)
	table := s.cfg.Table
	if err == nil && source.Prefix.IsValid() {
		source = source.Widen(door)
	}
	s.grants.Withdraw(name, source.Prefix)
	g.unlock()
	if err != nil {
		return nil, err
	}
	snapshot, err := g.inspect(table)
	if err != nil {
		return nil, err
	}
	within, still := grant.Within(snapshot.Grants, name, source, by)
	revoked, err := g.RevokeAll(within)
	if err != nil {
		return revoked, err
	}
	return revoked, still
}

// RevokeAll ends grants, up to [maxBatch] of them in one transaction, and returns those that it has
// ended. Their Origin is what revokes them.
func (g *Gate) RevokeAll(grants []grant.Grant) (revoked []grant.Grant, err error) {
	for batch := range slices.Chunk(grants, maxBatch) {
		if err := g.revoke(batch...); err != nil {
			return revoked, err
		}
		revoked = append(revoked, batch...)
	}
	return revoked, nil
}

// revoke takes the lock for some grants: packets do not wait for all of them.
func (g *Gate) revoke(grants ...grant.Grant) error {
	g.state.Lock()
	defer g.unlock()
	if _, err := g.state.cfg.Door(grants[0].Door); err != nil { // a reload has taken it away
		return err
	}
	return g.state.grants.Revoke(grants...)
}
