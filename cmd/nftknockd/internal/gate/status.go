package gate

import (
	"errors"
	"maps"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A Status is what `nftknockd status` shows. Its JSON is stable: CONTROL.md lists the
// fields; new ones may come.
type Status struct {
	Running bool   `json:"running"` // a daemon runs; without one only what the kernel knows is there
	Table   string `json:"table"`   // its name, in family inet
	Exists  bool   `json:"exists"`  // the table does: without it nothing is guarded
	Owned   bool   `json:"owned"`   // by a process, so that nobody else can change the table

	Daemon *Daemon       `json:"daemon,omitempty"`
	Doors  []DoorStatus  `json:"doors"`  // in the order of the configuration, if a daemon runs
	Grants []GrantStatus `json:"grants"` // by door and source
}

// A Daemon is the daemon's own part of the status.
type Daemon struct {
	Started      time.Time `json:"started"`
	Uptime       float64   `json:"uptime_seconds"`
	Degraded     string    `json:"degraded,omitempty"`   // what the kernel does not hold, and why
	TrialUntil   time.Time `json:"trial_until,omitzero"` // when the trial that is under way ends; zero: none is
	File         string    `json:"file"`                 // the configuration's
	LastGood     bool      `json:"last_good"`            // the last good configuration is in force, not the file's
	InProgress   int       `json:"in_progress"`          // attempts that have begun and not succeeded
	Limit        int       `json:"in_progress_limit"`    // beyond which the oldest are forgotten
	Muted        int       `json:"muted"`                // sources that are not listened to
	Decoys       []string  `json:"decoys,omitempty"`     // "7000", "8000:udp"; a secret
	Interfaces   []string  `json:"interfaces"`           // that are guarded; empty: every one but loopback
	Warnings     []string  `json:"warnings,omitempty"`   // why what is guarded may be nothing
	MessagesLost uint64    `json:"messages_lost"`        // of the kernel's packet log

	MutedSources []MutedSource `json:"muted_sources"` // those, at most maxMuted: the latest

	// SPARefused counts packets of single packet authorization that have opened nothing, by
	// reason. It is empty if no door takes any.
	SPARefused map[string]uint64 `json:"spa_refused,omitempty"`
}

// A MutedSource is who is not listened to.
type MutedSource struct {
	Source string    `json:"source"` // an address, or a prefix
	Until  time.Time `json:"until"`
}

// maxMuted is how many muted sources a status names.
const maxMuted = 1000

// A DoorStatus counts what came to a door's ports, other than of connections
// that are up.
type DoorStatus struct {
	Name    string   `json:"name"`
	Ports   []string `json:"ports"`               // "22", "51820:udp"
	Granted uint64   `json:"granted_connections"` // and flows of datagrams, begun by sources that the door lets in
	Shut    uint64   `json:"shut_packets"`        // from sources that no door of the port lets in
}

// A GrantStatus is a source that is let in.
type GrantStatus struct {
	Door   string    `json:"door"`
	Source string    `json:"source"`         // an address, or a prefix
	By     string    `json:"by"`             // an Origin, or what else the set's element has for a comment
	Key    string    `json:"key,omitempty"`  // of spa: whose
	Since  time.Time `json:"since,omitzero"` // zero: not known
	Until  time.Time `json:"until,omitzero"` // zero: until revoked
}

// Status returns how the gate is.
func (g *Gate) Status() (*Status, error) {
	s := &g.state
	s.Lock()
	cfg := s.cfg
	daemon := Daemon{
		Started: g.began, Uptime: time.Since(g.began).Seconds(),
		InProgress: s.tracker.InProgress(time.Now()), Limit: cfg.Limits.Sources, MessagesLost: s.listener.Lost(),
		Decoys: PortNames(s.decoys), MutedSources: []MutedSource{},
	}
	muted, total := s.tracker.MutedSources(time.Now(), maxMuted)
	daemon.Muted = total
	for _, m := range muted {
		daemon.MutedSources = append(daemon.MutedSources, MutedSource{grant.Source{Prefix: m.Prefix}.String(), wallTime(m.Until)})
	}
	daemon.File, daemon.Interfaces = g.deps.File, append([]string{}, cfg.Interfaces...)
	if s.trial != nil {
		daemon.TrialUntil = s.trial.until
	}
	daemon.LastGood = s.repair.config != nil
	if err := s.repair.err(); err != nil {
		daemon.Degraded = err.Error()
	}
	if len(cfg.SPA.Doors) > 0 {
		daemon.SPARefused = g.packets.refused.counts()
	}
	since := maps.Clone(s.since)
	g.unlock()
	if links, err := config.ReadLinks(); err == nil {
		for _, w := range cfg.InterfaceWarnings(links) {
			daemon.Warnings = append(daemon.Warnings, w.Text)
		}
	}

	snapshot, err := g.inspect(cfg.Table)
	status, err := statusOf(cfg.Table, snapshot, err)
	if err != nil {
		return nil, err
	}
	status.Running, status.Daemon = true, &daemon
	status.Doors = inOrder(cfg.Doors, status.Doors)
	if snapshot != nil {
		for i, p := range snapshot.Grants {
			if p.Since.IsZero() {
				status.Grants[i].Since = since[grant.Of(p, time.Now()).ID()]
			}
		}
	}
	return status, nil
}

// inspect reads the kernel's table, for one at a time.
func (g *Gate) inspect(table string) (*nft.Snapshot, error) {
	g.inspecting.Lock()
	defer g.inspecting.Unlock()
	return g.deps.Inspect(table)
}

// KernelStatus returns what the kernel knows of a table, without a daemon.
func KernelStatus(table string) (*Status, error) {
	snapshot, err := nft.Inspect(table)
	return statusOf(table, snapshot, err)
}

func statusOf(table string, s *nft.Snapshot, err error) (*Status, error) {
	status := &Status{Table: table, Doors: []DoorStatus{}, Grants: []GrantStatus{}}
	switch {
	case errors.Is(err, nft.ErrNoTable):
		return status, nil
	case err != nil:
		return nil, err
	}
	status.Exists, status.Owned = true, s.Owned
	for _, name := range s.Doors {
		status.Doors = append(status.Doors, doorStatus(s, name))
	}
	now := time.Now()
	for _, p := range s.Grants {
		g := grant.Of(p, now)
		status.Grants = append(status.Grants, GrantStatus{
			Door: g.Door, Source: g.Source(), By: string(g.Origin), Key: g.Key, Since: p.Since, Until: g.Until,
		})
	}
	return status, nil
}

// doorStatus sums up the ports that a door guards.
func doorStatus(s *nft.Snapshot, name string) DoorStatus {
	d := DoorStatus{Name: name, Ports: []string{}, Granted: s.Granted[name]}
	for _, guard := range s.Guards {
		if slices.Contains(guard.Doors, name) {
			d.Ports = append(d.Ports, guard.Port.String())
			d.Shut += guard.Shut
		}
	}
	return d
}

// inOrder returns the configured doors, with what is known of them.
func inOrder(configured []knock.Door, known []DoorStatus) []DoorStatus {
	doors := make([]DoorStatus, len(configured))
	for i, d := range configured {
		doors[i] = DoorStatus{Name: d.Name}
		if k := slices.IndexFunc(known, func(k DoorStatus) bool { return k.Name == d.Name }); k >= 0 {
			doors[i] = known[k]
		}
		doors[i].Ports = PortNames(d.Ports)
	}
	return doors
}

// tellPresent tells the bus which grants there are, whose ends the kernel does not tell.
func (g *Gate) tellPresent() {
	g.state.Lock()
	table := g.state.cfg.Table
	g.unlock()
	snapshot, err := g.inspect(table)
	if err != nil {
		g.deps.Log.Warn("the end of some grants will not be known", "error", err)
		return
	}
	now := time.Now()
	var events []event.Event
	for _, p := range snapshot.Grants {
		present := grant.Of(p, now)
		events = append(events, event.Event{
			Time: p.Since, Kind: event.Granted, Door: present.Door, Source: present.Source(),
			By: string(present.Origin), Key: present.Key, Until: present.Until,
		})
	}
	g.deps.Bus.Present(events)
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
func (g *Gate) Hooks() []config.Hook {
	g.state.Lock()
	defer g.unlock()
	return g.state.cfg.Hooks
}

// PortNames returns ports as people write them.
func PortNames(ports []knock.Port) []string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.String()
	}
	return names
}
