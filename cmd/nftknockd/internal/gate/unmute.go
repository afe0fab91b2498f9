package gate

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Unmute listens again to who is muted within a source, and to all that are muted together
// with one of them. It returns what was muted.
func (g *Gate) Unmute(source Source) ([]Source, error) {
	if source.isLinkLocal() && source.Zone == "" {
		return nil, &PrefixError{fmt.Sprintf("%v means other hosts on each link: want its interface too, such as fe80::1%%eth0", source)}
	}
	var was []Source
	for _, p := range g.unmute(source) {
		one := Source{Prefix: p}
		if source.isLinkLocal() {
			one = source
		}
		was = append(was, one)
		g.deps.Log.Info("unmuted", "source", one.String())
	}
	return was, nil
}

func (g *Gate) unmute(source Source) (was []netip.Prefix) {
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
