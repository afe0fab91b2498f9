package gate

import (
	"errors"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
)

// repair is what has to be repaired, besides what [grant.Book] keeps.
type repair struct {
	config   error // why it is not the file that is in force; see Start
	state    error // why the state directory does not hold the configuration in force
	listener error // why the packet log is not being read
	table    error // why the table is not as it should be
}

// wrong returns what is to be repaired; nil: nothing.
func (s *state) wrong() error {
	return errors.Join(s.repair.config, s.repair.state, s.wrongInKernel())
}

// wrongInKernel returns nil if the kernel is as it should be.
func (s *state) wrongInKernel() error {
	return errors.Join(s.repair.listener, s.repair.table, s.grants.Refused())
}

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
	before := s.wrong()
	if before == nil && !s.degraded {
		return "", false
	}
	if s.repair.listener != nil {
		s.repair.listener = g.listenAgain()
	}
	if s.repair.table != nil {
		s.repair.table = s.table.Restore()
	}
	s.grants.Retry()

	after := s.wrong()
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
	if s.wrongInKernel() != nil {
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
