// Package fleet shares whom a gate lets in with the other gates of its group. It is a process
// beside the daemon, which has no network:
//
//	daemon ──→ granted, revoked ──→ Companion ──→ bucket of NATS ──→ the other gates' companions
//	daemon ←── grants of others ←── Companion ←── bucket
//
// What gates tell each other is signed with the group's key. For each source at each door the
// newest decision counts, by the clock of the NATS servers: a [ledger] holds them, and the bucket
// what all gates have in common. Without NATS each gate works alone; when it is back, what is
// newer wins on either side.
package fleet

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
)

// A Daemon is what a companion needs of one.
type Daemon interface {
	// Fleet returns [fleet] of the configuration in force, the group's key, and what NATS wants to
	// see. Its error is fs.ErrNotExist if there is none.
	Fleet() (f *config.Fleet, key, credentials config.Secret, err error)
	// Follow calls see with each event of the kinds after an event; see [control.Client.Follow].
	Follow(ctx context.Context, after string, kinds []event.Kind, begun func(after string), see func(event.Event) error) error
	// Grants returns the grants of the doors that are shared.
	Grants() ([]status.Grant, error)
	// Share has the daemon carry out what other gates have decided.
	Share([]grant.Shared) error
	// Spend has the daemon refuse what was used at other gates.
	Spend([]event.Spent) error
	// Report says how the fleet is, for the daemon's status.
	Report(status.Fleet) error
}

// A Companion shares the grants of a daemon.
type Companion struct {
	Daemon Daemon
	Gate   string // this gate's name, which the others see
	Load   func() (string, error)
	Save   func(after string) error // up to where events were shared
	Log    *slog.Logger
	Ready  func() // is called when there is something to share, with NATS or without
}

const (
	retryAfter  = 200 * time.Millisecond // when the daemon does not answer
	idleFor     = 3 * time.Second        // without a daemon to ask, before a companion ends
	gateTTL     = time.Minute            // after which a gate that says nothing is gone
	aliveEvery  = 20 * time.Second
	tickEvery   = time.Second
	maxApply    = 256                     // decisions that go to the daemon at once
	settleAfter = 250 * time.Millisecond  // without an event: the daemon has told what there was
	slack       = 1500 * time.Millisecond // by which ends may differ: the bucket counts in seconds
)

// errReloaded says that [fleet] may be another one.
var errReloaded = errors.New("reloaded")

// Run shares until the context ends. Where there is no [fleet], or no daemon, it ends after a while.
func (c *Companion) Run(ctx context.Context) error {
	var alone time.Time // since when there is nobody to ask
	for ctx.Err() == nil {
		f, key, credentials, err := c.Daemon.Fleet()
		if err == nil {
			alone = time.Time{}
			if c.Ready != nil {
				c.Ready()
				c.Ready = nil
			}
			err = c.share(ctx, f, key, credentials)
		}
		switch {
		case errors.Is(err, fs.ErrPermission):
			return err
		case err == nil, errors.Is(err, errReloaded):
			continue
		case !errors.Is(err, fs.ErrNotExist):
			c.Log.Error("nothing is shared", "error", err)
			alone = time.Time{}
			wait(ctx, 5*time.Second)
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) >= idleFor:
			c.Log.Info("nothing to do: there is no [fleet], or nftknockd does not run")
			return nil
		}
		wait(ctx, retryAfter)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// share shares as [fleet] says, until that may be another one.
func (c *Companion) share(ctx context.Context, f *config.Fleet, key, credentials config.Secret) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{
		Companion: c, fleet: f, credentials: credentials, signer: signer{key, f.Group}, ledger: newLedger(),
		gates: make(map[string]time.Time), spent: make(map[string]time.Time), unspent: make(map[string]*unspent),
		local: make(chan event.Event, maxApply), sent: make(chan sent, maxPending),
		changed: make(chan struct{}, 1), reload: make(chan struct{}, 1), link: make(chan bool),
	}
	if s.bucket, err = dial(f.URLs, "nftknock-"+f.Group, c.Gate, credentials, c.Log, func() { signal(s.changed) }); err != nil {
		return err
	}
	defer s.bucket.conn.Close()
	return s.run(ctx)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

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
	following  bool                 // the daemon
	gone       time.Time            // since when there is no [fleet], or no daemon; zero: there is
	settled    bool                 // the daemon holds what the ledger says
	lastEvent  time.Time            // from the daemon
	seen       string               // the last event of the daemon's
	savedUpTo  string               // what Save has
	spent      map[string]time.Time // what is known to be used, until when
	unspent    map[string]*unspent  // what the bucket does not say yet, by key
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
		r.Until = r.At.Add(s.fleet.MaxGrant)
		if known := s.ledger.records[r.key()]; known != nil && !known.Until.IsZero() && known.Until.Before(r.Until) {
			r.Until = known.Until
		}
		r.Until = later(r.Until, r.At.Add(time.Minute))
		s.decided(r)
	}
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
	if !r.Until.IsZero() {
		ttl = r.Until.Sub(now) + time.Second // the bucket's seconds are whole
	}
	at := r.At
	r.sending = true
	s.inProgress++
	s.bucket.put(key, s.signer.sealEntry(&r.Entry), r.revision, ttl, func(revision uint64, err error) {
		s.sent <- sent{key, at, revision, err}
	})
}

// arrived takes in what became of a value that was sent.
func (s *session) arrived(ctx context.Context, d sent) {
	s.inProgress--
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
		if r.At.Equal(d.at) {
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
		r.unshared = false
		s.noteLag(entry)
		s.toApply = append(s.toApply, sharedOf(e, now))
	case r.newerThan(e):
		r.unshared = true // an older value is in its place
	default:
		r.unshared = false
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
	if p, err := s.signer.open(key, entry.Value()); err == nil && p.Gate != s.Gate && keyOfGate(p.Gate) == key {
		s.gates[p.Gate] = entry.Created().Add(-s.ahead)
	}
}

func keyOfGate(gate string) string { return gateKeys + nameKey(gate) }

// sharedOf returns what the daemon is to carry out.
func sharedOf(e *Entry, now time.Time) grant.Shared {
	left, forever := e.left(now)
	if forever {
		left = knock.Forever
	}
	return grant.Shared{Door: e.Door, Source: e.Source, Gate: e.Gate, Left: left, Revoked: e.Revoked}
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

// tick does what has to be done again and again.
func (s *session) tick(ctx context.Context) {
	now := s.now()
	s.ledger.prune(now)
	maps.DeleteFunc(s.gates, func(_ string, seen time.Time) bool { return time.Since(seen) > gateTTL })
	maps.DeleteFunc(s.spent, func(_ string, until time.Time) bool { return now.After(until) })
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
		case r.Revoked && ok && !endsAfter(end, r.Until):
			s.toApply = append(s.toApply, sharedOf(&r.Entry, now))
		case !r.Revoked && (!ok || s.endsEarly(g, end, r, now)):
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
	if s.watcher != nil {
		r.Server = server(s.bucket.conn)
	}
	for _, name := range slices.Sorted(maps.Keys(s.gates)) {
		r.Gates = append(r.Gates, status.FleetGate{Name: name, Seen: s.gates[name]})
	}
	if err := s.Daemon.Report(r); err != nil && s.following {
		s.Log.Debug("the daemon takes no report", "error", err)
	}
}
