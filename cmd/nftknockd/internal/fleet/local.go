package fleet

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
)

// follow hands over the daemon's events, again and again.
func (s *session) follow(ctx context.Context) {
	after, err := s.Load()
	if err != nil {
		s.Log.Warn("earlier events are not shared", "error", err)
	}
	if after == "" {
		after = event.Now
	}
	link := func(up bool) {
		select {
		case s.link <- up:
		case <-ctx.Done():
		}
	}
	kinds := []event.Kind{event.Granted, event.Revoked, event.Reloaded, event.Used}
	for ; ctx.Err() == nil; wait(ctx, retryAfter) {
		s.Daemon.Follow(ctx, after, kinds, func(position string) {
			after = position
			link(true)
			s.Log.Info("sharing grants", "group", s.fleet.Group, "gate", s.Gate)
		}, func(e event.Event) error {
			after = e.ID
			if e.Kind == event.Reloaded {
				if f, key, credentials, err := s.Daemon.Fleet(); err != nil || !s.isOf(f, key, credentials) {
					signal(s.reload)
				}
			}
			select {
			case s.local <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		link(false)
	}
}

// isOf reports whether a session is of a [fleet].
func (s *session) isOf(f *config.Fleet, key, credentials config.Secret) bool {
	return key == s.signer.secret && credentials == s.credentials && reflect.DeepEqual(f, s.fleet)
}

// checkFleet ends the session if there is another [fleet] by now, or none for a while. Whoever
// follows the daemon is told of reloads; without NATS nobody does.
func (s *session) checkFleet() {
	f, key, credentials, err := s.Daemon.Fleet()
	switch {
	case err == nil && s.isOf(f, key, credentials):
		s.gone = time.Time{}
	case err == nil:
		signal(s.reload)
	case errors.Is(err, fs.ErrNotExist) && s.gone.IsZero():
		s.gone = time.Now()
	case errors.Is(err, fs.ErrNotExist) && time.Since(s.gone) > idleFor:
		signal(s.reload)
	}
}

// shares reports whether the grants of a door are shared.
func (s *session) shares(door string) bool { return s.fleet.Shares(door) }

// happened takes in what the daemon has decided.
func (s *session) happened(e event.Event) {
	s.seen, s.lastEvent = e.ID, time.Now()
	if e.Kind == event.Used && e.Spent != nil {
		s.spendLocal(*e.Spent)
		return
	}
	if e.By == event.ByFleet || e.By == event.ByReload || !s.shares(e.Door) { // a configuration is this gate's alone
		return
	}
	switch e.Kind {
	case event.Granted:
		s.decided(Entry{Door: e.Door, Source: e.Source, Gate: s.Gate, At: s.shared(e.Time), Until: s.shared(e.Until)})
	case event.Revoked:
		r := Entry{Door: e.Door, Source: e.Source, Gate: s.Gate, At: s.shared(e.Time), Revoked: true}
		r.Until = s.rememberUntil(&r)
		s.decided(r)
	}
}

// rememberUntil returns until when a revocation has to be known: as long as the grant would have
// lasted, which somebody could put back; zero: always.
func (s *session) rememberUntil(r *Entry) time.Time {
	known := s.ledger.records[r.key()]
	if known == nil {
		return r.At.Add(s.fleet.MaxGrant)
	}
	return last(known.Kept, r.At.Add(time.Minute))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// shared turns a time of this machine's clock into one of the servers'.
func (s *session) shared(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(s.ahead).Round(time.Millisecond)
}

// decided shares a decision of this gate's.
func (s *session) decided(e Entry) {
	e.Kept = e.Until // and longer, if what is known is
	r, newer := s.ledger.offer(e)
	if newer {
		r.unshared = true
		s.send(e.key(), r)
	}
}

// send sends a record to the bucket, unless it is on its way.
func (s *session) send(key string, r *record) {
	now := s.now()
	if s.watcher == nil || r.sending || !r.unshared || !r.live(now) || s.inProgress >= maxPending/2 {
		return // a tick looks again
	}
	ttl := time.Duration(0)
	if !r.Kept.IsZero() {
		ttl = r.Kept.Sub(now) + time.Second // the bucket's seconds are whole
	}
	r.sending = true
	s.put(sent{key: key, entry: r.Entry}, s.signer.sealEntry(&r.Entry), r.revision, ttl)
}

// put sends a value to the bucket; see bucket.put. What becomes of it comes to arrived.
func (s *session) put(d sent, value []byte, revision uint64, ttl time.Duration) {
	d.reading = s.reading
	s.inProgress++
	s.bucket.put(d.key, value, revision, ttl, func(revision uint64, err error) {
		d.revision, d.err = revision, err
		s.sent <- d
	})
}

// arrived takes in what became of a value that was sent.
func (s *session) arrived(ctx context.Context, d sent) {
	s.inProgress--
	if d.reading != s.reading {
		return // it was sent anew, if the bucket did not hold it
	}
	if strings.HasPrefix(d.key, spentKeys) {
		s.arrivedSpent(d)
		return
	}
	r := s.ledger.records[d.key]
	if r == nil {
		return
	}
	r.sending = false
	switch {
	case d.err == nil:
		r.revision = max(r.revision, d.revision)
		if r.Entry == d.entry {
			r.unshared = false
			return
		}
	case isTaken(d.err):
		// Another gate was faster, and its value comes; or the key's time was over.
		if revision, err := s.bucket.revision(ctx, d.key); err == nil && revision != r.revision {
			r.revision = revision
		} else {
			return // the next tick tries again
		}
	default:
		return
	}
	s.send(d.key, r)
}
