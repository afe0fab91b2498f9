package gate

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
	"nftknock/knock"
)

// A Trace is what the gate knows of a source: whether it is in, and what it last saw of it.
// Its JSON is stable: CONTROL.md lists the fields; new ones may come.
type Trace struct {
	Source  string    `json:"source"`
	Started time.Time `json:"started"` // when the daemon did, which knows nothing from before

	AlwaysAllowed string        `json:"always_allowed,omitempty"` // the prefix of always_allow that has the source
	Grants        []GrantStatus `json:"grants"`
	MutedUntil    time.Time     `json:"muted_until,omitzero"` // zero: it is not muted

	UnderWay []event.Event `json:"under_way"` // attempts that have not run out of time, the furthest first
	Failed   []event.Event `json:"failed"`    // how attempts ended, the latest first
	Events   []event.Event `json:"events"`    // the latest of each kind that are about the source, the latest first

	// For a source of which nothing was seen.
	Heard      uint64    `json:"heard"`                // packets at knock ports and decoys, from everybody, since the daemon started
	LastHeard  time.Time `json:"last_heard,omitzero"`  // when the latest came; zero: none has
	Interfaces []string  `json:"interfaces,omitempty"` // that are guarded; empty: all but loopback
	Warnings   []string  `json:"warnings,omitempty"`   // about those
	Degraded   string    `json:"degraded,omitempty"`   // as in the status
}

// Trace returns what the gate knows of a source.
func (g *Gate) Trace(source netip.Addr) (*Trace, error) {
	source = source.Unmap()
	bare := source.WithZone("")
	trace := &Trace{
		Source: source.String(), Started: g.began,
		Grants: []GrantStatus{}, UnderWay: []event.Event{}, Failed: []event.Event{},
	}
	s := &g.state
	s.Lock()
	cfg := s.cfg
	seen := s.tracker.Trace(time.Now(), source)
	trace.Heard = s.heard
	if s.heard > 0 {
		trace.LastHeard = wallTime(s.lastHeard)
	}
	if err := s.repair.err(); err != nil {
		trace.Degraded = err.Error()
	}
	g.unlock()

	if i := slices.IndexFunc(cfg.AlwaysAllow, func(p netip.Prefix) bool { return p.Contains(bare) }); i >= 0 {
		trace.AlwaysAllowed = cfg.AlwaysAllow[i].String()
	}
	if !seen.MutedUntil.IsZero() {
		trace.MutedUntil = wallTime(seen.MutedUntil)
	}
	for _, step := range seen.UnderWay {
		trace.UnderWay = append(trace.UnderWay, attemptEvent(step))
	}
	for _, step := range seen.Failed {
		trace.Failed = append(trace.Failed, attemptEvent(step))
	}
	trace.Events = g.deps.Bus.Latest(about(source, cfg.Doors))
	trace.Interfaces = cfg.Interfaces
	if links, err := config.ReadLinks(); err == nil {
		for _, w := range cfg.InterfaceWarnings(links) {
			trace.Warnings = append(trace.Warnings, w.Text)
		}
	}
	status, err := g.Status()
	if err != nil {
		return nil, err
	}
	for _, grant := range status.Grants {
		if covers(grant.Source, source) {
			trace.Grants = append(trace.Grants, grant)
		}
	}
	return trace, nil
}

// about returns whether an event is about a source, or what a door lets in with it.
func about(source netip.Addr, doors []knock.Door) func(*event.Event) bool {
	names := map[string]bool{source.String(): true}
	for i := range doors {
		names[grant.SourceOf(source).Widen(&doors[i]).String()] = true
	}
	return func(e *event.Event) bool { return names[e.Source] }
}

// covers reports whether an address or prefix, as people write it, has a source in it.
func covers(name string, source netip.Addr) bool {
	if a, err := netip.ParseAddr(name); err == nil {
		return a == source
	}
	p, err := netip.ParsePrefix(name)
	return err == nil && p.Contains(source.WithZone(""))
}
