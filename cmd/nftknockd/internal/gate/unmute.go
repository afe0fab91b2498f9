package gate

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"nftknock/cmd/nftknockd/internal/grant"
)

// Unmute listens again to who is muted within a source, and to all that are muted together
// with one of them. It returns what was muted.
func (g *Gate) Unmute(source grant.Source) ([]grant.Source, error) {
	if source.IsLinkLocal() && source.Zone == "" {
		return nil, &grant.PrefixError{Text: fmt.Sprintf("%v means other hosts on each link: want its interface too, such as fe80::1%%eth0", source)}
	}
	var was []grant.Source
	for _, p := range g.unmute(source) {
		one := grant.Source{Prefix: p}
		if source.IsLinkLocal() {
			one = source
		}
		was = append(was, one)
		g.deps.Log.Info("unmuted", "source", one.String())
	}
	return was, nil
}

func (g *Gate) unmute(source grant.Source) (was []netip.Prefix) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	now := time.Now()
	forgive := func(a netip.Addr) {
		if p := s.tracker.Unmute(now, a); p.IsValid() {
			was = append(was, p)
		}
	}
	if source.Prefix.IsSingleIP() {
		forgive(source.Prefix.Addr().WithZone(source.Zone))
		return was
	}
	muted, _ := s.tracker.MutedSources(now, math.MaxInt)
	for _, m := range muted {
		if source.Prefix.Overlaps(m.Prefix) {
			forgive(m.Prefix.Addr())
		}
	}
	return was
}
