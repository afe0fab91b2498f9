// Package share carries out at a gate what other gates have decided. As trial does, it uses the
// gate from outside.
package share

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
	"nftknock/knock"
)

// A Gate is one that may be of a fleet.
type Gate struct{ trial.Gate }

// Share carries out what other gates have decided, as far as this gate's configuration has it:
// for the doors of [fleet], and for no longer than max_grant. Whoever asks may be anybody who
// has the group's key, or has taken the companion over. What cannot be carried out is logged.
func (g Gate) Share(shared []grant.Shared) error {
	fleet := g.Fleet()
	if fleet == nil {
		return gate.ErrNoFleet
	}
	var granted, revoked []grant.Grant
	for _, one := range shared {
		wanted, err := sharedGrant(fleet, one)
		switch {
		case err != nil:
			g.logNotShared(one, err)
		case one.Revoked:
			revoked = append(revoked, wanted)
		case one.Left > 0:
			granted = append(granted, wanted)
		}
	}
	return errors.Join(g.applyShared(granted), g.revokeShared(revoked))
}

// sharedGrant returns the grant that another gate's decision is about.
func sharedGrant(fleet *config.Fleet, one grant.Shared) (grant.Grant, error) {
	if !fleet.Shares(one.Door) {
		return grant.Grant{}, fmt.Errorf("door %q is not shared", one.Door)
	}
	if !grant.IsGate(one.Gate) {
		return grant.Grant{}, fmt.Errorf("invalid name of a gate %q", one.Gate)
	}
	source, err := grant.ParseSource(one.Source)
	if err != nil {
		return grant.Grant{}, err
	}
	if source.IsLinkLocal() {
		return grant.Grant{}, fmt.Errorf("%v means another host at each gate", source)
	}
	left := min(one.Left, fleet.MaxGrant)
	if one.Left == knock.Forever {
		left = fleet.MaxGrant
	}
	return grant.Grant{
		Door: one.Door, Prefix: source.Prefix, Zone: source.Zone,
		Until: time.Now().Add(left), Origin: grant.Fleet, Key: one.Gate,
	}, nil
}

// applyShared makes grants, all at once; one by one if some cannot be made.
func (g Gate) applyShared(grants []grant.Grant) error {
	if len(grants) == 0 || g.Apply(grants...) == nil {
		return nil
	}
	var refused error
	for _, one := range grants {
		err := g.Apply(one)
		switch {
		case err == nil:
		case isDecision(err):
			g.logNotShared(grant.Shared{Door: one.Door, Source: one.Source(), Gate: one.Key}, err)
		default:
			refused = err // of the kernel: to be tried again
		}
	}
	return refused
}

// isDecision reports whether an error is about what is asked for, and will be the same again.
func isDecision(err error) bool {
	_, noDoor := errors.AsType[*config.NoDoorError](err)
	_, prefix := errors.AsType[*grant.PrefixError](err)
	_, overlap := errors.AsType[*grant.OverlapError](err)
	return noDoor || prefix || overlap
}

// revokeShared ends grants, of those that are in. A door may have let in more with a source than the other
// gate's has: that goes, as it does when the source is revoked here.
func (g Gate) revokeShared(grants []grant.Grant) error {
	if len(grants) == 0 {
		return nil
	}
	snapshot, err := g.Inspect()
	if err != nil {
		return err
	}
	in := make(map[grant.ID]bool)
	for _, e := range snapshot.Grants {
		in[grant.Of(e, time.Now()).ID()] = true
	}
	for i, one := range grants {
		door, err := g.Config().Door(one.Door)
		if err != nil {
			continue // nobody is in by it
		}
		grants[i].Prefix = grant.Source{Prefix: one.Prefix, Zone: one.Zone}.Widen(door).Prefix
	}
	grants = slices.DeleteFunc(grants, func(one grant.Grant) bool {
		held := in[one.ID()]
		in[one.ID()] = false // of two that are the same here, one
		return !held
	})
	_, err = g.RevokeAll(grants)
	return err
}

func (g Gate) logNotShared(one grant.Shared, err error) {
	g.Log.Warn("not taken from another gate", "gate", one.Gate, "door", one.Door, "source", one.Source, "error", err)
}

// SharedGrants returns the grants of the doors that are shared.
func (g Gate) SharedGrants() ([]status.Grant, error) {
	cfg := g.Config()
	if cfg.Fleet == nil {
		return nil, gate.ErrNoFleet
	}
	snapshot, err := g.Inspect()
	whole, err := status.Of(cfg.Table, snapshot, err)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(whole.Grants, func(in status.Grant) bool { return !cfg.Fleet.Shares(in.Door) }), nil
}
