package fleet

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nftknock/cmd/nftknockd/internal/event"
)

// spentFor is for how long the bucket remembers what was used: for longer than a gate would
// take it, whatever its clock says.
const spentFor = 2 * time.Hour

// spent is what is known to be used, and until when that is of any use.
type spent struct {
	event.Spent
	until time.Time
}

// unspent is what was used at this gate, and the bucket does not say yet.
type unspent struct {
	event.Spent
	sending bool
}

func spentKey(u event.Spent) string { return spentKeys + nameKey(u.ID()) }

// spendLocal shares that a packet or a code was used at this gate.
func (s *session) spendLocal(u event.Spent) {
	key := spentKey(u)
	if _, known := s.spent[key]; known {
		return
	}
	s.spent[key] = spent{u, s.now().Add(spentFor)}
	s.unspent[key] = &unspent{Spent: u}
	s.sendSpent()
}

func (s *session) sendSpent() {
	for key, u := range s.unspent {
		known, ok := s.spent[key]
		switch {
		case u.sending:
			continue
		case !ok: // of no use any more
			delete(s.unspent, key)
			continue
		case s.watcher == nil || s.inProgress >= maxPending/2:
			continue
		}
		u.sending = true
		value := s.signer.seal(key, payload{Gate: s.Gate, At: known.until.Add(-spentFor).UnixMilli(), Spent: &u.Spent})
		s.put(sent{key: key}, value, anyRevision, max(known.until.Sub(s.now()), time.Second))
	}
}

// arrivedSpent takes in what became of a value.
func (s *session) arrivedSpent(d sent) {
	u := s.unspent[d.key]
	switch {
	case u == nil:
	case d.err == nil:
		delete(s.unspent, d.key)
	default:
		u.sending = false // the next tick tries again
	}
}

func (s *session) heardSpent(key string, entry jetstream.KeyValueEntry) {
	known, ok := s.spent[key]
	if entry.Operation() == jetstream.KeyValuePut {
		p, err := s.signer.open(key, entry.Value())
		if err == nil && p.Spent != nil && spentKey(*p.Spent) == key {
			// Not for longer than the gate said that it was used at: gates would put it back in turns.
			if until := time.UnixMilli(p.At).Add(spentFor); !ok && until.After(s.now()) {
				s.spent[key] = spent{*p.Spent, until}
				s.toSpend = append(s.toSpend, *p.Spent)
			}
			delete(s.unspent, key)
			return
		}
		s.forged++
	}
	// Somebody without the key has deleted or replaced it: a tick puts it back.
	if ok {
		s.missing(key, known)
	}
}

// allUnspent has a tick put whatever the bucket does not turn out to hold there.
func (s *session) allUnspent() {
	for _, u := range s.unspent {
		u.sending = false
	}
	for key, known := range s.spent {
		s.missing(key, known)
	}
}

// missing notes that the bucket does not say what it has said, unless its time is over soon.
func (s *session) missing(key string, known spent) {
	if s.unspent[key] == nil && known.until.Sub(s.now()) > time.Minute {
		s.unspent[key] = &unspent{Spent: known.Spent}
	}
}
