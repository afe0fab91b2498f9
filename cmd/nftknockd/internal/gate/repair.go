package gate

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
)

// repair is what has to be repaired: what was decided, and the kernel does not hold.
type repair struct {
	config   error // why it is not the file that is in force; see Start
	state    error // why the state directory does not hold the configuration in force
	listener error // why the packet log is not being read
	table    error // why the table is not as it should be
	pending  []decision
	refused  error // why the pending decisions could not be carried out
}

// maxPending bounds what waits for a kernel that refuses everything. The oldest decision
// goes first: its grant would end first.
const maxPending = 1024

func (r *repair) add(d decision, err error) {
	r.supersede(d.ID())
	if len(r.pending) == maxPending {
		r.pending = r.pending[1:]
	}
	r.pending = append(r.pending, d)
	r.refused = err
}

// supersede drops an older decision about the same source and door.
func (r *repair) supersede(key grant.ID) {
	r.drop(func(d decision) bool { return d.ID() == key })
}

// withdraw drops the grants of a door within a prefix, or all of them if it is not valid.
func (r *repair) withdraw(door string, sources netip.Prefix) {
	r.drop(func(d decision) bool {
		return d.Door == door && !d.revoke && (!sources.IsValid() || sources.Overlaps(d.Prefix))
	})
}

// keepDoors drops what concerns other doors than these.
func (r *repair) keepDoors(doors []knock.Door) {
	r.drop(func(d decision) bool {
		return !slices.ContainsFunc(doors, func(door knock.Door) bool { return door.Name == d.Door })
	})
}

func (r *repair) drop(outdated func(decision) bool) {
	r.pending = slices.DeleteFunc(r.pending, outdated)
	if len(r.pending) == 0 {
		r.refused = nil
	}
}

// err returns nil if there is nothing to repair.
func (r *repair) err() error { return errors.Join(r.config, r.state, r.kernel()) }

// kernel returns nil if the kernel is as it should be.
func (r *repair) kernel() error { return errors.Join(r.listener, r.table, r.refused) }

// retryAfter is how long after a failed repair the next one is tried.
const retryAfter = 100 * time.Millisecond

// markDegraded notes what was found out of order.
func (g *Gate) markDegraded(found repair) {
	g.state.Lock()
	defer g.unlock()
	if found.listener != nil {
		g.state.repair.listener = found.listener
	}
	if found.table != nil {
		g.state.repair.table = found.table
	}
}

// reconcile tries to make the kernel hold what was decided, and comes back to what it could
// not. It reports when the gate becomes degraded and when it has recovered.
func (g *Gate) reconcile() {
	if status, changed := g.tryRepair(); changed {
		g.deps.Notify(status)
	}
}

// tryRepair returns the status to tell the service manager, if that is news.
func (g *Gate) tryRepair() (status string, changed bool) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	before := s.repair.err()
	if before == nil && !s.degraded {
		return "", false
	}
	if s.repair.listener != nil {
		s.repair.listener = g.listenAgain()
	}
	if s.repair.table != nil {
		s.repair.table = s.table.Restore()
	}
	pending := s.repair.pending
	s.repair.pending, s.repair.refused = nil, nil
	for _, d := range pending {
		if err := s.carryOut(d, time.Time{}); err != nil {
			s.repair.add(d, err)
		}
	}

	after := s.repair.err()
	switch {
	case after == nil:
		if before != nil {
			s.reported = before.Error()
		}
		s.happened(event.Event{Kind: event.Recovered, Text: s.reported})
	case !s.degraded:
		s.happened(event.Event{Kind: event.Degraded, Text: after.Error()})
		s.reported = after.Error()
	}
	s.degraded = after != nil
	if s.repair.kernel() != nil {
		time.AfterFunc(retryAfter, func() { signal(g.repairs) })
	}
	if s.repair.config != nil || s.repair.state != nil {
		g.retryLater()
	}
	status = s.serviceStatus()
	changed = status != s.told
	s.told = status
	return status, changed
}

// listenAgain reads the packet log with a new listener. The lock is held.
func (g *Gate) listenAgain() error {
	listener, err := g.listen(g.state.cfg)
	if err != nil {
		return err
	}
	old := g.state.listener
	g.state.listener = listener
	old.Close() // it has failed: nothing of it waits for the lock
	return nil
}
