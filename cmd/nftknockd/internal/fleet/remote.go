package fleet

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
)

// heard takes in what the bucket tells.
func (s *session) heard(entry jetstream.KeyValueEntry) {
	if entry == nil {
		return
	}
	key := entry.Key()
	switch {
	case strings.HasPrefix(key, grantKeys):
		s.heardGrant(key, entry)
	case strings.HasPrefix(key, gateKeys):
		s.heardGate(key, entry)
	case strings.HasPrefix(key, spentKeys):
		s.heardSpent(key, entry)
	}
}

func (s *session) heardGrant(key string, entry jetstream.KeyValueEntry) {
	known := s.ledger.records[key]
	if known != nil {
		known.revision = max(known.revision, entry.Revision())
	}
	if entry.Operation() != jetstream.KeyValuePut {
		// Its time is over; or somebody has deleted it, which ends nothing: it is put back.
		if known != nil {
			known.unshared = true
		}
		return
	}
	e, err := s.signer.openEntry(key, entry.Value())
	if err != nil {
		s.forged++
		if known != nil {
			known.unshared = true
		}
		return
	}
	now := s.now()
	if !e.live(now) || !s.shares(e.Door) {
		return
	}
	r, newer := s.ledger.offer(*e)
	r.revision = max(r.revision, entry.Revision())
	switch {
	case newer:
		r.unshared = !r.Kept.Equal(e.Kept)
		s.noteLag(entry)
		s.toApply = append(s.toApply, sharedOf(e, now))
	case r.newerThan(e):
		r.unshared = true // an older value is in its place
	default:
		r.unshared = !r.Kept.Equal(e.Kept)
	}
}

// noteLag measures how long a value took. What was there before this gate came has not.
func (s *session) noteLag(entry jetstream.KeyValueEntry) {
	if s.settled {
		s.lag = max(s.now().Sub(entry.Created()), 0)
	}
}

func (s *session) heardGate(key string, entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	p, err := s.signer.open(key, entry.Value())
	if err != nil || p.Gate == s.Gate || keyOfGate(p.Gate) != key {
		return
	}
	if seen := time.UnixMilli(p.At).Add(-s.ahead); s.Now().Sub(seen) <= gateTTL { // and was not put back by somebody
		s.gates[p.Gate] = later(s.gates[p.Gate], seen)
	}
}

func keyOfGate(gate string) string { return gateKeys + nameKey(gate) }

// sharedOf returns what the daemon is to carry out.
func sharedOf(e *Entry, now time.Time) grant.Shared {
	left, forever := e.left(now)
	if forever {
		left = knock.Forever
	}
	return grant.Shared{Door: e.Door, Source: e.Source, Gate: e.Gate, Left: left, Revoked: e.over(now)}
}

// apply has the daemon carry out what has come.
func (s *session) apply() {
	for s.following && len(s.toApply) > 0 {
		n := min(len(s.toApply), maxApply)
		if err := s.Daemon.Share(s.toApply[:n]); err != nil {
			s.Log.Warn("the daemon refuses what other gates have decided: trying again", "error", err)
			s.toApply, s.settled, s.lastEvent = nil, false, time.Now() // compared anew
			return
		}
		s.toApply = s.toApply[n:]
	}
	if s.following && len(s.toSpend) > 0 {
		if err := s.Daemon.Spend(s.toSpend); err != nil {
			s.Log.Warn("the daemon refuses what was used at other gates: trying again", "error", err)
			return
		}
		s.toSpend = nil
	}
}
