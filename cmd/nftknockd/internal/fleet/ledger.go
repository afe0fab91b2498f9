package fleet

import "time"

// A ledger is the newest entry of each source at each door, as far as a gate knows. It has no
// clock: now is an argument, by the clock of the NATS servers.
type ledger struct {
	records map[string]*record
}

// A record is an entry and where it stands.
type record struct {
	Entry
	revision uint64 // of the key in the bucket, as last heard; 0: none
	unshared bool   // the bucket does not hold it
	sending  bool   // it is on its way there
}

func newLedger() *ledger { return &ledger{records: make(map[string]*record)} }

// offer takes an entry if it is newer than what is known. Either way what is known then is kept for as long as
// both: whoever has seen the other one could put it back.
func (l *ledger) offer(e Entry) (*record, bool) {
	r := l.records[e.key()]
	if r == nil {
		r = &record{Entry: e}
		l.records[e.key()] = r
		return r, true
	}
	kept := last(r.Kept, e.Kept)
	newer := e.newerThan(&r.Entry)
	if newer {
		r.Entry = e
	}
	r.Kept = kept
	return r, newer
}

// live reports whether an entry still says something.
func (e *Entry) live(now time.Time) bool { return e.Kept.IsZero() || e.Kept.After(now) }

// last returns the later of two ends; the zero time is none.
func last(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	return later(a, b)
}

// left returns how long a grant lasts, which is negative if it is over; forever says that it has no end.
func (e *Entry) left(now time.Time) (left time.Duration, forever bool) {
	if e.Until.IsZero() {
		return 0, true
	}
	return e.Until.Sub(now), false
}

// prune drops what is over.
func (l *ledger) prune(now time.Time) {
	for key, r := range l.records {
		if !r.live(now) && !r.sending {
			delete(l.records, key)
		}
	}
}
