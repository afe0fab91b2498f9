package gate

import (
	"fmt"
	"time"

	"nftknock/cmd/nftknockd/internal/grant"
)

// Unmute listens again to who is muted within a source, and to all that are muted together
// with one of them. It returns what was muted.
func (g *Gate) Unmute(source grant.Source) ([]grant.Source, error) {
	if source.IsLinkLocal() && source.Zone == "" {
		return nil, &grant.PrefixError{Text: fmt.Sprintf("%v means other hosts on each link: want its interface too, such as fe80::1%%eth0", source)}
	}
	g.state.Lock()
	muted := g.state.tracker.UnmuteWithin(time.Now(), source.Prefix, source.Zone)
	g.unlock()
	var was []grant.Source
	for _, p := range muted {
		one := grant.Source{Prefix: p}
		if source.IsLinkLocal() {
			one = source
		}
		was = append(was, one)
		g.deps.Log.Info("unmuted", "source", one.String())
	}
	return was, nil
}
