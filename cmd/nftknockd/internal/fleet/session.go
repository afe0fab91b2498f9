package fleet

import (
	"context"
	"errors"
	"maps"
	"math"
	"sync"
	"time"

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
	read       time.Time // when all of the bucket was read
	unusable   string    // why the bucket cannot be used
	lastAlive  time.Time
	inProgress int // values on their way to the bucket
	reading    int // how often the bucket was read from its beginning

	local   chan event.Event
	sent    chan sent
	changed chan struct{} // the connection to NATS
	reload  chan struct{}
	link    chan bool // whether the daemon tells what happens
}

// sent is what became of a value.
type sent struct {
	key      string
	entry    Entry
	revision uint64
	err      error
	reading  int // since which one it was on its way
}

func (s *session) now() time.Time { return s.Now().Add(s.ahead) }

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
	if !s.bucket.conn.IsConnected() {
		s.lost()
		return
	}
	s.unusable = ""
	if err := s.open(ctx); err != nil {
		s.Log.Warn("the bucket cannot be used: trying again", "error", err)
		s.unusable = err.Error()
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
	// it, whatever it held before, and whatever comes of values that were on their way to it.
	s.reading++
	for _, r := range s.ledger.records {
		r.revision, r.unshared, r.sending = 0, true, false
	}
	s.allUnspent()
	deadline := time.After(4 * natsWait)
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("reading the bucket was interrupted")
			}
			if entry == nil { // that was all
				s.settled = false
				s.lastEvent, s.read = time.Now(), time.Now()
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

// alive measures the servers' clock, and shows the others that this gate lives.
func (s *session) alive(ctx context.Context) error {
	ahead, err := s.bucket.clock(ctx, s.Now)
	if err != nil {
		return err
	}
	s.ahead, s.wall = ahead, time.Now()
	key := keyOfGate(s.Gate)
	err = s.bucket.alive(ctx, key, s.signer.seal(key, payload{Gate: s.Gate, At: s.now().UnixMilli()}))
	if err == nil {
		s.lastAlive = time.Now()
	}
	return err
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
	switch {
	case !s.bucket.conn.IsConnected():
	case s.watcher == nil:
		s.connect(ctx)
	default:
		s.tend(ctx, now)
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

// tend looks after the bucket that is read: what somebody has done to it is put right.
func (s *session) tend(ctx context.Context, now time.Time) {
	held, key, oldest := 0, "", uint64(math.MaxUint64)
	for k, r := range s.ledger.records {
		if r.revision != 0 && !r.unshared && r.live(now.Add(slack)) {
			held++
			if r.revision < oldest {
				key, oldest = k, r.revision
			}
		}
	}
	switch how := s.bucket.tampered(ctx, held, key, oldest); {
	case how != "":
		s.Log.Warn("somebody has tampered with the bucket: what the gates know is put back", "bucket", how)
		s.connect(ctx)
	case time.Since(s.read) > rereadEvery:
		s.connect(ctx)
	case time.Since(s.lastAlive) > aliveEvery || s.clockJumped():
		if err := s.alive(ctx); err != nil {
			s.Log.Warn("the servers were not told that this gate lives: trying again", "error", err)
			if s.clockJumped() { // what was measured before holds no more
				s.unusable = err.Error()
				s.lost()
			}
		}
	}
}

// clockJumped reports whether this machine's clock was set since ahead was measured.
func (s *session) clockJumped() bool {
	now := time.Now()
	d := now.Round(0).Sub(s.wall.Round(0)) - now.Sub(s.wall)
	return d.Abs() > 100*time.Millisecond
}
