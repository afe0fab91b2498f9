package fleet

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
)

// A session is a companion with one [fleet]. Its goroutine alone touches what is in it.
type session struct {
	*Companion
	fleet       *config.Fleet
	credentials config.Secret
	signer      signer
	bucket      *bucket
	ledger      *ledger

	ahead      time.Duration // of the servers' clock, of this machine's
	wall       time.Time     // with its monotonic reading: when ahead was measured
	forged     int           // values that were refused since it was last said
	gates      map[string]time.Time
	lag        time.Duration
	following  bool                // the daemon
	gone       time.Time           // since when there is no [fleet], or no daemon; zero: there is
	settled    bool                // the daemon holds what the ledger says
	lastEvent  time.Time           // from the daemon
	seen       string              // the last event of the daemon's
	savedUpTo  string              // what Save has
	spent      map[string]spent    // what is known to be used, by key
	unspent    map[string]*unspent // what the bucket does not say yet, by key
	toApply    []grant.Shared
	toSpend    []event.Spent
	watcher    jetstream.KeyWatcher
	lastAlive  time.Time
	inProgress int // values on their way to the bucket

	local   chan event.Event
	sent    chan sent
	changed chan struct{} // the connection to NATS
	reload  chan struct{}
	link    chan bool // whether the daemon tells what happens
}

// sent is what became of a value.
type sent struct {
	key      string
	at       time.Time // of the entry
	revision uint64
	err      error
}

func (s *session) now() time.Time { return time.Now().Add(s.ahead) }

func (s *session) run(ctx context.Context) error {
	ticks := time.NewTicker(tickEvery)
	defer ticks.Stop()
	var following sync.WaitGroup
	defer following.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := false
	s.connect(ctx)
	for {
		// The daemon is heard when it is known what is in the bucket, and what time it is there.
		if s.watcher != nil && !begun {
			begun = true
			following.Go(func() { s.follow(ctx) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.reload:
			return errReloaded
		case <-s.changed:
			s.connect(ctx)
		case e := <-s.local:
			s.happened(e)
		case s.following = <-s.link:
			s.settled, s.lastEvent = false, time.Now()
		case d := <-s.sent:
			s.arrived(ctx, d)
		case entry, ok := <-s.updates():
			if !ok {
				s.lost()
				break
			}
			s.heard(entry)
			s.drain()
		case <-ticks.C:
			s.tick(ctx)
		}
		s.apply()
	}
}

// updates is what the bucket tells; nil if there is none.
func (s *session) updates() <-chan jetstream.KeyValueEntry {
	if s.watcher == nil {
		return nil
	}
	return s.watcher.Updates()
}

// drain takes what the bucket has told already, so that it goes to the daemon at once.
func (s *session) drain() {
	for len(s.toApply) < maxApply {
		select {
		case entry, ok := <-s.updates():
			if !ok {
				s.lost()
				return
			}
			s.heard(entry)
		default:
			return
		}
	}
}

// connect finds the bucket, takes the time and reads what is there, if NATS can be reached.
func (s *session) connect(ctx context.Context) {
	defer s.report()
	if s.bucket.conn.Status() != nats.CONNECTED {
		return
	}
	if err := s.open(ctx); err != nil {
		s.Log.Warn("the bucket cannot be used: trying again", "error", err)
		s.lost()
	}
}

func (s *session) open(ctx context.Context) error {
	s.lost()
	if err := s.bucket.find(ctx); err != nil {
		return err
	}
	if err := s.alive(ctx); err != nil {
		return err
	}
	watcher, err := s.bucket.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	s.watcher = watcher
	// What the bucket holds is taken in before anything else. What it does not hold is missing in
	// it, whatever it held before.
	for _, r := range s.ledger.records {
		r.revision, r.unshared, r.sending = 0, true, false
	}
	deadline := time.After(4 * natsWait)
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("reading the bucket was interrupted")
			}
			if entry == nil { // that was all
				s.settled = false
				s.lastEvent = time.Now()
				return nil
			}
			s.heard(entry)
		case <-deadline:
			return errors.New("reading the bucket takes too long")
		}
	}
}

// lost forgets a bucket that cannot be read any more.
func (s *session) lost() {
	if s.watcher != nil {
		s.watcher.Stop()
		s.watcher = nil
	}
}

// alive shows the others that this gate lives, and measures the servers' clock.
func (s *session) alive(ctx context.Context) error {
	key := gateKeys + nameKey(s.Gate)
	ahead, err := s.bucket.clock(ctx, key, s.signer.seal(key, payload{Gate: s.Gate, At: s.now().UnixMilli()}))
	if err != nil {
		return err
	}
	s.ahead, s.wall, s.lastAlive = ahead, time.Now(), time.Now()
	return nil
}

// tick does what has to be done again and again.
func (s *session) tick(ctx context.Context) {
	now := s.now()
	s.ledger.prune(now)
	maps.DeleteFunc(s.gates, func(_ string, seen time.Time) bool { return time.Since(seen) > gateTTL })
	maps.DeleteFunc(s.spent, func(_ string, known spent) bool { return now.After(known.until) })
	if s.forged > 0 {
		s.Log.Warn("values in the bucket are refused: not signed with the group's key, or damaged", "count", s.forged)
		s.forged = 0
	}
	if s.bucket.conn.Status() == nats.CONNECTED {
		switch {
		case s.watcher == nil:
			s.connect(ctx)
		case !s.bucket.exists(ctx):
			s.Log.Warn("somebody has deleted the bucket: it is made anew, of what the gates know")
			s.connect(ctx)
		case time.Since(s.lastAlive) > aliveEvery || s.clockJumped():
			if err := s.alive(ctx); err != nil {
				s.Log.Warn("the bucket does not answer: trying again", "error", err)
			}
		}
	}
	for key, r := range s.ledger.records {
		s.send(key, r)
	}
	s.sendSpent()
	if s.following && !s.settled && s.watcher != nil && time.Since(s.lastEvent) > settleAfter {
		s.settle()
	}
	if !s.following {
		s.checkFleet()
	}
	s.savePosition()
	s.report()
}

// clockJumped reports whether this machine's clock was set since ahead was measured.
func (s *session) clockJumped() bool {
	now := time.Now()
	d := now.Round(0).Sub(s.wall.Round(0)) - now.Sub(s.wall)
	return d.Abs() > 100*time.Millisecond
}
