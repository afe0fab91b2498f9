package fleet

import (
	"maps"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
)

// settle compares what the daemon holds with the ledger: after a start of either, or when they
// have not heard of each other for a while.
func (s *session) settle() {
	grants, err := s.Daemon.Grants()
	if err != nil {
		s.Log.Warn("cannot read the daemon's grants: trying again", "error", err)
		return
	}
	s.settled = true
	now := s.now()
	held := make(map[string]status.Grant)
	for _, g := range grants {
		key := grantKey(g.Door, g.Source)
		held[key] = g
		if s.ledger.records[key] == nil && g.By != event.ByFleet && s.shares(g.Door) {
			// Granted while nobody listened. What another gate may say of it is newer.
			s.decided(Entry{Door: g.Door, Source: g.Source, Gate: s.Gate, At: time.UnixMilli(1), Until: s.shared(g.Until)})
		}
	}
	for key, r := range s.ledger.records {
		g, ok := held[key]
		switch end := s.shared(g.Until); {
		case !r.live(now):
		case r.over(now) && ok && (r.Kept.IsZero() || !endsAfter(end, r.Kept)):
			s.toApply = append(s.toApply, sharedOf(&r.Entry, now))
		case !r.over(now) && (!ok || s.endsEarly(g, end, r, now)):
			s.toApply = append(s.toApply, sharedOf(&r.Entry, now))
		}
	}
}

// endsEarly reports whether a grant that came from the fleet ends before the ledger says, other than by max_grant.
func (s *session) endsEarly(g status.Grant, end time.Time, r *record, now time.Time) bool {
	if g.By != event.ByFleet || g.Until.IsZero() {
		return false
	}
	left, forever := r.left(now)
	if forever || left > s.fleet.MaxGrant {
		left = s.fleet.MaxGrant
	}
	return end.Before(now.Add(left).Add(-slack))
}

// endsAfter reports whether a grant ends after a time; one without an end does.
func endsAfter(end, t time.Time) bool { return end.IsZero() || end.After(t.Add(slack)) }

// savePosition remembers up to where events are shared, when the bucket has all of them.
func (s *session) savePosition() {
	if s.seen == s.savedUpTo || s.seen == "" || s.inProgress > 0 || len(s.unspent) > 0 {
		return
	}
	for _, r := range s.ledger.records {
		if r.unshared {
			return
		}
	}
	if err := s.Save(s.seen); err != nil {
		s.Log.Error("cannot save what was shared: after a restart it is shared again", "error", err)
		return
	}
	s.savedUpTo = s.seen
}

// report tells the daemon how the fleet is.
func (s *session) report() {
	r := status.Fleet{Group: s.fleet.Group, Gate: s.Gate, Connected: s.watcher != nil, Lag: s.lag.Seconds(), Gates: []status.FleetGate{}}
	connected, reason := s.bucket.connected()
	switch {
	case s.watcher != nil:
		r.Server = server(s.bucket.conn)
	case connected:
		r.Error = s.unusable
	default:
		r.Error = reason
	}
	for _, name := range slices.Sorted(maps.Keys(s.gates)) {
		r.Gates = append(r.Gates, status.FleetGate{Name: name, Seen: s.gates[name]})
	}
	if err := s.Daemon.Report(r); err != nil && s.following {
		s.Log.Debug("the daemon takes no report", "error", err)
	}
}
