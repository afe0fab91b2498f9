package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
)

// ErrNoFleet says that the configuration in force has no [fleet].
var ErrNoFleet = errors.New("the configuration has no [fleet]: nothing is shared")

// Fleet returns [fleet] of the configuration in force; nil: there is none.
func (g *Gate) Fleet() *config.Fleet { return g.Config().Fleet }

// Share carries out what other gates have decided, as far as this gate's configuration has it:
// for the doors of [fleet], and for no longer than max_grant. Whoever asks may be anybody who
// has the group's key, or has taken the companion over. What cannot be carried out is logged.
func (g *Gate) Share(shared []grant.Shared) error {
	fleet := g.Fleet()
	if fleet == nil {
		return ErrNoFleet
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
func (g *Gate) applyShared(grants []grant.Grant) error {
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

// revokeShared ends grants, of those that are in.
func (g *Gate) revokeShared(grants []grant.Grant) error {
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
	grants = slices.DeleteFunc(grants, func(one grant.Grant) bool { return !in[one.ID()] })
	for batch := range slices.Chunk(grants, maxBatch) {
		if err := g.revoke(batch...); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) logNotShared(one grant.Shared, err error) {
	g.deps.Log.Warn("not taken from another gate", "gate", one.Gate, "door", one.Door, "source", one.Source, "error", err)
}

// SharedGrants returns the grants of the doors that are shared.
func (g *Gate) SharedGrants() ([]status.Grant, error) {
	cfg := g.Config()
	if cfg.Fleet == nil {
		return nil, ErrNoFleet
	}
	snapshot, err := g.Inspect()
	whole, err := status.Of(cfg.Table, snapshot, err)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(whole.Grants, func(in status.Grant) bool { return !cfg.Fleet.Shares(in.Door) }), nil
}

// Spend has packets and codes refused that were used at other gates.
func (g *Gate) Spend(ctx context.Context, spent []event.Spent) error {
	if g.Fleet() == nil {
		return ErrNoFleet
	}
	var packets []event.Spent
	for _, one := range spent {
		if one.Code == "" {
			packets = append(packets, one)
			continue
		}
		g.state.Lock()
		cl, ours := g.state.codes.Spend(one.Code, one.Step)
		g.unlock()
		if !ours {
			continue
		}
		select {
		case g.claims <- claim{Claim: cl, spent: true}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.packets.Spend(ctx, packets)
}

// used says that a packet or a code was used, if other gates are to know. The lock is held.
func (s *state) used(spent event.Spent) {
	if s.cfg.Fleet != nil {
		s.happened(event.Event{Kind: event.Used, Spent: &spent})
	}
}

// fleetReportFor is for how long a report of the companion holds. It reports every second.
const fleetReportFor = 10 * time.Second

// ReportFleet takes in how the fleet is.
func (g *Gate) ReportFleet(report status.Fleet) {
	report.Reported = time.Now()
	g.state.Lock()
	defer g.unlock()
	g.state.fleet = report
}

// fleetStatus returns the latest report, if it is not too old. The lock is held.
func (s *state) fleetStatus() *status.Fleet {
	if s.cfg.Fleet == nil {
		return nil
	}
	report := status.Fleet{Group: s.cfg.Fleet.Group, Gates: []status.FleetGate{}}
	if time.Since(s.fleet.Reported) < fleetReportFor && s.fleet.Group == report.Group {
		report = s.fleet
	}
	return &report
}
