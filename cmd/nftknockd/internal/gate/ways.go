package gate

import (
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
)

// A Way is what lets a source in to a port.
type Way struct {
	Source string    `json:"source"`         // an address, or a prefix
	Door   string    `json:"door,omitempty"` // empty: it is in always_allow
	Until  time.Time `json:"until,omitzero"` // zero: until revoked, or of always_allow
}

// maxWays is how many ways are named: one is enough to look.
const maxWays = 16

// WaysIn returns what lets a source, or anybody if it is the zero Source, in to the ports of a
// door without that door: always_allow, and other doors that guard one of the ports.
func (g *Gate) WaysIn(name string, source grant.Source) ([]Way, error) {
	g.state.Lock()
	cfg := g.state.cfg
	g.unlock()
	door, err := cfg.Door(name)
	if err != nil {
		return nil, nil // a reload has taken it away
	}
	var ways []Way
	for _, p := range cfg.AlwaysAllow {
		if !source.Prefix.IsValid() || source.Prefix.Overlaps(p) {
			ways = append(ways, Way{Source: grant.Source{Prefix: p}.String()})
		}
	}
	snapshot, err := g.inspect(cfg.Table)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, e := range snapshot.Grants {
		other, err := cfg.Door(e.Door)
		if err == nil && other != door && source.Overlaps(e) && sharePort(door, other) {
			in := grant.Of(e, now)
			ways = append(ways, Way{in.Source(), in.Door, in.Until})
		}
	}
	return ways[:min(len(ways), maxWays)], nil
}

func sharePort(a, b *knock.Door) bool {
	return slices.ContainsFunc(a.Ports, func(p knock.Port) bool { return slices.Contains(b.Ports, p) })
}
