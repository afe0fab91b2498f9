package gate

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// Status returns how the gate is.
func (g *Gate) Status() (*status.Status, error) {
	s := &g.state
	s.Lock()
	cfg := s.cfg
	daemon := status.Daemon{
		Started: g.began, Uptime: time.Since(g.began).Seconds(),
		InProgress: s.tracker.InProgress(time.Now()), Limit: cfg.Limits.Sources, MessagesLost: s.listener.Lost(),
		Decoys: knock.PortNames(s.decoys), MutedSources: []status.MutedSource{},
	}
	muted, total := s.tracker.MutedSources(time.Now(), status.MaxMuted)
	daemon.Muted = total
	for _, m := range muted {
		daemon.MutedSources = append(daemon.MutedSources, status.MutedSource{Source: grant.Source{Prefix: m.Prefix}.String(), Until: event.WallTime(m.Until)})
	}
	daemon.File, daemon.Interfaces = g.deps.File, append([]string{}, cfg.Interfaces...)
	daemon.TrialUntil = s.trialUntil
	daemon.LastGood = s.repair.config != nil
	if err := s.wrong(); err != nil {
		daemon.Degraded = err.Error()
	}
	if len(cfg.SPA.Doors) > 0 {
		daemon.SPARefused = g.packets.Refusals()
	}
	daemon.Fleet = s.fleetStatus()
	since := s.grants.Since()
	g.unlock()
	daemon.Warnings = cfg.InterfaceWarningsHere()

	snapshot, err := g.inspect(cfg.Table)
	whole, err := status.Of(cfg.Table, snapshot, err)
	if err != nil {
		return nil, err
	}
	whole.Running, whole.Daemon = true, &daemon
	whole.Doors = status.InOrder(cfg.Doors, whole.Doors)
	if snapshot != nil {
		for i, p := range snapshot.Grants {
			if p.Since.IsZero() {
				whole.Grants[i].Since = since[grant.Of(p, time.Now()).ID()]
			}
		}
	}
	return whole, nil
}

// inspect reads the kernel's table, for one at a time.
func (g *Gate) inspect(table string) (*nft.Snapshot, error) {
	g.inspecting.Lock()
	defer g.inspecting.Unlock()
	return g.deps.Inspect(table)
}

// Inspect reads the kernel's table.
func (g *Gate) Inspect() (*nft.Snapshot, error) { return g.inspect(g.Config().Table) }

// Config returns the configuration in force.
func (g *Gate) Config() *config.Config {
	g.state.Lock()
	defer g.unlock()
	return g.state.cfg
}

// InProgress returns how many attempts have begun and not succeeded.
func (g *Gate) InProgress() int {
	g.state.Lock()
	defer g.unlock()
	return g.state.tracker.InProgress(time.Now())
}

// tellPresent tells the bus which grants there are, whose ends the kernel does not tell, unless the context ends first.
func (g *Gate) tellPresent(ctx context.Context) {
	snapshot, err := g.Inspect()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		g.deps.Log.Warn("the end of some grants will not be reported", "error", err)
		return
	}
	g.deps.Bus.Present(grant.Events(snapshot.Grants))
}

// Watch begins to watch what happens, as [event.Bus.Watch] does.
func (g *Gate) Watch(kinds ...event.Kind) (*event.Watcher, error) {
	return g.deps.Bus.Watch(kinds)
}

// Subscribe returns a subscription to what happens, as [event.Bus.Subscribe] does.
func (g *Gate) Subscribe(after string, kinds ...event.Kind) (*event.Subscription, error) {
	return g.deps.Bus.Subscribe(after, kinds...)
}

// Resume returns a subscription that goes on whatever is gone, as [event.Bus.Resume] does.
func (g *Gate) Resume(after string, kinds ...event.Kind) (*event.Subscription, error) {
	return g.deps.Bus.Resume(after, kinds...)
}

// Hooks returns the hooks of the configuration in force.
func (g *Gate) Hooks() []config.Hook { return g.Config().Hooks }

// Trace returns what the gate knows of a source.
func (g *Gate) Trace(source netip.Addr) (*status.Trace, error) {
	source = source.Unmap()
	trace := status.NewTrace(source, g.began)
	s := &g.state
	s.Lock()
	cfg := s.cfg
	seen := s.tracker.Trace(time.Now(), source)
	trace.Heard = s.heard
	if s.heard > 0 {
		trace.LastHeard = event.WallTime(s.lastHeard)
	}
	if err := s.wrong(); err != nil {
		trace.Degraded = err.Error()
	}
	g.unlock()

	trace.Fill(cfg, seen)
	trace.Events = g.deps.Bus.Latest(status.About(source, cfg.Doors))
	whole, err := g.Status()
	if err != nil {
		return nil, err
	}
	trace.Grants = slices.DeleteFunc(whole.Grants, func(in status.Grant) bool { return !in.Covers(source) })
	return trace, nil
}

// AlwaysAllowed returns what of always_allow lets a source in without a grant.
func (g *Gate) AlwaysAllowed(source grant.Source) []status.Way {
	return status.AlwaysAllowed(g.Config(), source)
}

// WaysIn returns what lets a source, or anybody if it is the zero Source, in to the ports of a
// door without that door: always_allow, and other doors that guard one of the ports.
func (g *Gate) WaysIn(name string, source grant.Source) ([]status.Way, error) {
	cfg := g.Config()
	door, err := cfg.Door(name)
	if err != nil {
		return nil, nil // a reload has taken it away
	}
	snapshot, err := g.inspect(cfg.Table)
	if err != nil {
		return nil, err
	}
	return status.WaysIn(cfg, snapshot, door, source), nil
}
