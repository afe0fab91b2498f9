package status

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A Trace is what the gate knows of a source: whether it is in, and what it last saw of it.
// Its JSON is stable: CONTROL.md lists the fields; new ones may come.
type Trace struct {
	Source  string    `json:"source"`
	Started time.Time `json:"started"` // when the daemon did, which knows nothing from before

	AlwaysAllowed string    `json:"always_allowed,omitempty"` // the prefix of always_allow that has the source
	Grants        []Grant   `json:"grants"`
	MutedUntil    time.Time `json:"muted_until,omitzero"` // zero: it is not muted

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

// NewTrace returns a trace of a source, of which nothing is known yet, by a daemon that was started
// at a time.
func NewTrace(source netip.Addr, started time.Time) *Trace {
	return &Trace{
		Source: source.String(), Started: started,
		Grants: []Grant{}, UnderWay: []event.Event{}, Failed: []event.Event{},
	}
}

// Fill adds what the configuration in force says of a source, and the tracker has seen of it.
func (t *Trace) Fill(cfg *config.Config, seen knock.Trace) {
	source, err := netip.ParseAddr(t.Source)
	if err != nil {
		return
	}
	allows := func(p netip.Prefix) bool { return p.Contains(source.WithZone("")) }
	if i := slices.IndexFunc(cfg.AlwaysAllow, allows); i >= 0 {
		t.AlwaysAllowed = cfg.AlwaysAllow[i].String()
	}
	if !seen.MutedUntil.IsZero() {
		t.MutedUntil = event.WallTime(seen.MutedUntil)
	}
	for _, step := range seen.UnderWay {
		t.UnderWay = append(t.UnderWay, event.AttemptOf(step))
	}
	for _, step := range seen.Failed {
		t.Failed = append(t.Failed, event.AttemptOf(step))
	}
	t.Interfaces, t.Warnings = cfg.Interfaces, cfg.InterfaceWarningsHere()
}

// A Way is what lets a source in to a port.
type Way struct {
	Source string    `json:"source"`         // an address, or a prefix
	Door   string    `json:"door,omitempty"` // empty: it is in always_allow
	Until  time.Time `json:"until,omitzero"` // zero: until revoked, or of always_allow
}

// About returns whether an event is about a source, or what a door lets in with it.
func About(source netip.Addr, doors []knock.Door) func(*event.Event) bool {
	names := map[string]bool{source.String(): true}
	for i := range doors {
		names[grant.SourceOf(source).Widen(&doors[i]).String()] = true
	}
	return func(e *event.Event) bool { return names[e.Source] }
}

// Covers reports whether the grant lets a source in.
func (g Grant) Covers(source netip.Addr) bool {
	if a, err := netip.ParseAddr(g.Source); err == nil {
		return a == source
	}
	p, err := netip.ParsePrefix(g.Source)
	return err == nil && p.Contains(source.WithZone(""))
}

// maxWays is how many ways are named: one is enough to look.
const maxWays = 16

// WaysIn returns what lets a source, or anybody if it is the zero Source, in to the ports of a
// door without that door: always_allow, and other doors that guard one of the ports.
func WaysIn(cfg *config.Config, snapshot *nft.Snapshot, door *knock.Door, source grant.Source) []Way {
	ways := AlwaysAllowed(cfg, source)
	now := time.Now()
	for _, e := range snapshot.Grants {
		other, err := cfg.Door(e.Door)
		if err == nil && other != door && source.Overlaps(e) && sharePort(door, other) {
			in := grant.Of(e, now)
			ways = append(ways, Way{Source: in.Source(), Door: in.Door, Until: in.Until})
		}
	}
	return ways[:min(len(ways), maxWays)]
}

// AlwaysAllowed returns the part of [WaysIn] that no door has to do with: always_allow.
func AlwaysAllowed(cfg *config.Config, source grant.Source) []Way {
	var ways []Way
	for _, p := range cfg.AlwaysAllow {
		if !source.Prefix.IsValid() || source.Prefix.Overlaps(p) {
			ways = append(ways, Way{Source: grant.Source{Prefix: p}.String()})
		}
	}
	return ways[:min(len(ways), maxWays)]
}

func sharePort(a, b *knock.Door) bool {
	return slices.ContainsFunc(a.Ports, func(p knock.Port) bool { return slices.Contains(b.Ports, p) })
}
