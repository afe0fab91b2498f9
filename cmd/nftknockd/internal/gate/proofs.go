package gate

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/codes"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/packets"
	"nftknock/config"
	"nftknock/knock"
)

// maxClaims is how many claims on one-time codes may wait for the disk. There are never
// more than three of a secret at a time: each is of a later step, within the steps that are
// valid.
const maxClaims = 64

// A claim is on a code that is right, to be recorded before its door opens.
type claim struct {
	codes.Claim
	knock   knock.Event // what the code was part of
	arrived time.Time   // its last packet
	spent   bool        // at another gate: it opens nothing here
}

// checkCode judges the code that a packet completed, mutes the source of a wrong one, and
// leaves a right one to recordCodes. The lock is held.
func (g *Gate) checkCode(e knock.Event, arrived time.Time) {
	s := &g.state
	claimed, err := s.codes.Judge(e.Door.Name, e.Code, time.Now())
	if err == nil {
		select {
		case g.claims <- claim{claimed, e, arrived, false}:
			return
		default:
			s.codes.Release(claimed)
			err = errors.New("too many codes at once: the disk is too slow")
		}
	}
	if errors.Is(err, codes.ErrWrong) {
		s.tracker.Mute(time.Now(), e.Source)
	}
	s.refuse(e, err)
}

func (s *state) refuse(e knock.Event, err error) {
	s.happened(event.Event{Kind: event.Refused, Door: e.Door.Name, Source: e.Source.String(), Text: err.Error()})
}

// recordCodes records codes, one after the other, and then opens their doors.
func (g *Gate) recordCodes(ctx context.Context) {
	for {
		select {
		case cl := <-g.claims:
			g.useCode(cl)
		case <-ctx.Done():
			return
		}
	}
}

// useCode opens a door with a code once that is recorded.
func (g *Gate) useCode(cl claim) {
	err := g.state.codes.Record(cl.Claim)
	s := &g.state
	s.Lock()
	defer g.unlock()
	switch {
	case err != nil && cl.spent:
		s.codes.Release(cl.Claim)
		g.deps.Log.Error("a code that was used at another gate may open here", "error", err)
		return
	case err != nil:
		s.codes.Release(cl.Claim)
		s.refuse(cl.knock, err)
		return
	case cl.spent:
		return
	}
	mark, step := cl.Mark()
	s.used(event.Spent{Code: mark, Step: step})
	if door, err := s.cfg.Door(cl.knock.Door.Name); err == nil { // a reload may have taken it away
		g.decide(grant.Decision{Grant: grant.For(door, cl.knock.Source, grant.Knock)}, cl.arrived)
	}
}

// openFor opens doors with packets, whose use is recorded.
func (g *Gate) openFor(batch []packets.Opening) {
	g.state.Lock()
	defer g.unlock()
	for _, one := range batch {
		g.state.used(one.Spent)
		door, err := g.state.cfg.Door(one.Door)
		keys := g.state.cfg.SPA.Doors[one.Door].Keys
		if err != nil || !slices.ContainsFunc(keys, func(k config.SPAKey) bool { return k.Name == one.Key }) {
			continue // a reload has taken it away
		}
		wanted := grant.For(door, one.Source, grant.SPA)
		wanted.Key = one.Key
		if one.Timeout != 0 && (door.OpenTimeout == knock.Forever || one.Timeout < door.OpenTimeout) {
			wanted.Until = grant.EndAfter(one.Timeout)
		}
		g.decide(grant.Decision{Grant: wanted}, one.Arrived)
	}
}

// refusePacket says that a packet of a key's holder opens nothing.
func (g *Gate) refusePacket(door, key string, source netip.Addr, why error) {
	g.state.Lock()
	defer g.unlock()
	g.state.happened(event.Event{
		Kind: event.Refused, Door: door, Source: source.String(), By: string(grant.SPA), Key: key, Text: why.Error(),
	})
}
