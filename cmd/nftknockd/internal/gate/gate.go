// Package gate is the daemon: it connects the packet log to the tracker, and the tracker
// to the table.
//
//	kernel.Listener ─→ observe ─→ knock.Tracker ─→ decide ─→ grant.Book ─→ kernel.Table
//	                      └─────→ packets ────────────↑          └──→ event.Bus ─→ log, metrics, watchers
//	                 an administrator, repair ────────┘
//
// Five goroutines use a gate: the listener's, which observes packets; Run's, which
// reloads and repairs; one that records one-time codes; and two for single packet
// authorization, of which one proves packets and one records them. Others call its methods, such
// as the control server's. What they share is [state], guarded by its lock. Under that
// lock nothing is logged, nothing waits for a disk, and nobody is told anything: events
// are queued in the order in which the kernel took the changes, and published after it is
// released.
//
// The kernel is the truth about who is let in. The gate remembers what the kernel does
// not tell, and what it has refused, which repair tries until the kernel holds what was
// decided.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"nftknock/cmd/nftknockd/internal/codes"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/packets"
	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/cmd/nftknockd/internal/service"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/throttle"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// Deps are what a Gate works with. The functions that are nil are those of package nft,
// for the network namespace of the process.
type Deps struct {
	Log   *slog.Logger
	Bus   *event.Bus
	State statedir.Dir

	// File is where the configuration is, for status; empty: nowhere.
	File string

	// Load reads the configuration anew; nil: reloads are refused. InForce is told of each
	// configuration of Load's that is in force now, unless it is nil.
	Load    func() (*config.Config, error)
	InForce func(*config.Config)

	Notify func(state string) // tells the service manager, as sd_notify(3) has it; nil: nobody

	Listen  func(group uint16, observe func(arrived time.Time, p knock.Packet, payload []byte), lost func()) (kernel.Listener, error)
	Install func(r *nft.Ruleset, own bool) (kernel.Table, error)
	Inspect func(table string) (*nft.Snapshot, error)
}

// A Gate guards a network namespace.
type Gate struct {
	deps    Deps
	began   time.Time
	logged  *event.Subscription
	reloads chan chan<- error
	repairs chan struct{}     // there is something to repair
	retries chan struct{}     // the file, or the state directory, is to be tried again
	tasks   chan func()       // for Run's goroutine
	ended   chan struct{}     // closed when Run does no more tasks
	stale   chan struct{}     // a decoy was touched: is it still a good one?
	claims  chan claim        // one-time codes to record
	packets *packets.Packets  // of single packet authorization
	lost    throttle.Throttle // reports messages of the packet log that were lost
	scans   throttle.Throttle // signals stale

	inspecting sync.Mutex // held while the kernel's table is read: one reader at a time
	publishing sync.Mutex // held while events are published: keeps them in order
	state      state
}

// state is what the goroutines share. It is locked with Lock, and unlocked with
// [Gate.unlock].
type state struct {
	sync.Mutex

	cfg        *config.Config
	tracker    *knock.Tracker
	decoys     []knock.Port
	codes      *codes.Codes
	table      kernel.Table // nil until it is installed, and of a gate that could not start
	grants     *grant.Book
	listener   kernel.Listener
	watcher    *nft.Watcher // nil if nobody else can change the table
	repair     repair
	degraded   bool         // a repair did not put everything right
	reported   string       // what was wrong when that was reported
	told       string       // the status that the service manager was told last
	trialUntil time.Time    // when the trial that is under way ends; zero: none is
	retrying   bool         // a retry of the file is due
	outbox     event.Outbox // to be published

	fleet     status.Fleet // as its companion has last reported
	followers []*follower
	heard     uint64    // packets that observe has taken in
	lastHeard time.Time // when the latest of them arrived
}

// happened queues an event.
func (s *state) happened(e event.Event) { s.outbox.Add(e) }

// unlock releases the state, and then publishes what has happened under its lock. When it
// returns that is published, by this goroutine or another.
func (g *Gate) unlock() {
	quiet := g.state.outbox.Empty()
	g.state.Unlock()
	if quiet {
		return
	}
	g.publishing.Lock()
	defer g.publishing.Unlock()
	g.state.Lock()
	outbox := g.state.outbox
	g.state.outbox = event.Outbox{}
	g.state.Unlock()
	outbox.Publish(g.deps.Bus)
}

// New guards as a configuration says: the packet log is read, and the table installed. It
// needs [Gate.Run] to go on. If it returns an error it has left nothing in the kernel.
func New(cfg *config.Config, deps Deps) (*Gate, error) {
	g, err := newGate(deps)
	if err != nil {
		return nil, err
	}
	if err := g.open(cfg); err != nil {
		g.logged.Close()
		return nil, err
	}
	g.logGuarding()
	return g, nil
}

func (g *Gate) logGuarding() {
	cfg := g.state.cfg
	g.deps.Log.Info("guarding", "doors", len(cfg.Doors), "table", cfg.Table, "owned", g.state.table.Owned(), "nflog_group", cfg.NFLogGroup)
}

func newGate(deps Deps) (*Gate, error) {
	if deps.Notify == nil {
		deps.Notify = func(string) {}
	}
	if deps.Listen == nil {
		deps.Listen = kernel.Listen
	}
	if deps.Install == nil {
		deps.Install = kernel.Install
	}
	if deps.Inspect == nil {
		deps.Inspect = nft.Inspect
	}
	logged, err := deps.Bus.Subscribe(event.Now)
	if err != nil {
		return nil, err
	}
	g := &Gate{
		deps: deps, began: time.Now(), logged: logged,
		reloads: make(chan chan<- error), tasks: make(chan func()), ended: make(chan struct{}), claims: make(chan claim, maxClaims),
		repairs: make(chan struct{}, 1), retries: make(chan struct{}, 1), stale: make(chan struct{}, 1),
	}
	g.packets = packets.New(packets.Deps{Log: deps.Log, State: deps.State, Open: g.openFor, Refused: g.refusePacket})
	g.lost = throttle.Throttle{Every: 10 * time.Second, Do: g.reportLost}
	g.scans = throttle.Throttle{Every: 10 * time.Second, Do: func() { signal(g.stale) }}
	return g, nil
}

// open reads the packet log and then installs the table. The table of a daemon that was
// killed may be logging already: its packets wait for the lock.
func (g *Gate) open(cfg *config.Config) error {
	listener, err := g.listen(cfg)
	if err != nil {
		return err
	}
	if err := g.installWith(cfg, ruleset.LastingDecoys(cfg, g.deps.State, g.deps.Log), listener); err != nil {
		listener.Close() // not under the lock, which observe may be waiting for
		return err
	}
	return nil
}

// installWith installs the table of a configuration.
func (g *Gate) installWith(cfg *config.Config, decoys []knock.Port, listener kernel.Listener) error {
	watchErr, err := g.install(cfg, decoys, listener)
	if watchErr != nil {
		g.deps.Log.Warn("cannot watch the table: changes by others will not be noticed", "error", watchErr)
	}
	return err
}

func (g *Gate) install(cfg *config.Config, decoys []knock.Port, listener kernel.Listener) (watchErr, err error) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	table, err := g.deps.Install(ruleset.Of(cfg, decoys), cfg.OwnTable == config.Auto)
	if err != nil {
		return nil, err
	}
	s.cfg, s.listener, s.table, s.decoys = cfg, listener, table, decoys
	s.grants = grant.NewBook(table, s.happened)
	s.codes = codes.New(g.deps.State, cfg.OTP)
	g.packets.SetRules(cfg)
	s.tracker = knock.NewTracker(cfg.Doors, knock.Scan{Decoys: decoys, Mute: cfg.Scan.Mute}, cfg.Limits.Sources)
	if !table.Owned() {
		s.watcher, watchErr = table.Watch()
	}
	return watchErr, nil
}

func (g *Gate) listen(cfg *config.Config) (kernel.Listener, error) {
	return g.deps.Listen(cfg.NFLogGroup, g.observe, g.lost.Call)
}

// reportLost reports messages of the packet log that did not arrive.
func (g *Gate) reportLost() {
	g.state.Lock()
	defer g.unlock()
	if g.state.listener != nil { // otherwise the gate could not start
		g.state.happened(event.Event{Kind: event.Lost, Count: g.state.listener.Lost()})
	}
}

// Run does what is not a packet's doing, until the context ends: it reloads, repairs,
// proves packets of single packet authorization, records those and one-time codes, logs
// events, and tells the service manager. What becomes of the
// table then is up to on_stop.
func (g *Gate) Run(ctx context.Context) error {
	g.notifyReady()
	ctx, cancel := context.WithCancel(ctx)
	var background, logging sync.WaitGroup
	background.Go(func() { service.FeedWatchdog(ctx, g.deps.Log, g.Works, g.deps.Notify) })
	background.Go(func() { g.recordCodes(ctx) })
	go g.tellPresent(ctx) // not waited for: a million grants take longer to read than a stop may
	background.Go(func() { g.packets.Prove(ctx) })
	background.Go(func() { g.packets.Record(ctx) })
	endLog, stopLog := context.WithCancel(context.Background())
	logging.Go(func() { event.LogTo(endLog, g.deps.Log, g.logged) })

	g.loop(ctx)

	g.deps.Notify(daemon.SdNotifyStopping)
	cancel()
	background.Wait()
	err := errors.Join(g.close(), g.packets.Close())
	stopLog()
	logging.Wait()
	g.logged.Close()
	if err == nil {
		g.deps.Log.Info("stopped", "table", g.state.cfg.OnStop)
	}
	return err
}

func (g *Gate) loop(ctx context.Context) {
	defer close(g.ended)
	g.reconcile() // what Start left to do
	for {
		// Run's goroutine alone changes the listener and the watcher, and may read them.
		var changed <-chan struct{}
		if g.state.watcher != nil {
			changed = g.state.watcher.Changed()
		}
		select {
		case <-ctx.Done():
			return
		case reply := <-g.reloads:
			reply <- g.reload()
		case err := <-g.state.listener.Failed():
			g.markDegraded(repair{listener: fmt.Errorf("the packet log cannot be read: %w", err)})
		case <-changed:
			g.markDegraded(repair{table: fmt.Errorf("somebody else has changed table %s", g.state.cfg.Table)})
		case <-g.stale:
			g.renewDecoys()
		case task := <-g.tasks:
			task()
		case <-g.retries:
			g.retryFile()
		case <-g.repairs:
		}
		g.reconcile()
	}
}

func (g *Gate) close() error {
	s := &g.state
	s.listener.Close() // not under the lock, which observe may be waiting for
	if s.watcher != nil {
		s.watcher.Close()
	}
	s.Lock()
	defer g.unlock()
	defer s.table.Close()
	if s.cfg.OnStop == config.Remove {
		return s.table.Remove()
	}
	return nil
}

// observe takes in one packet from the log, which arrived at a time. The payload is its own
// until it returns.
func (g *Gate) observe(arrived time.Time, p knock.Packet, payload []byte) {
	if g.packets.Observe(arrived, p, payload) {
		return
	}
	s := &g.state
	s.Lock()
	defer g.unlock()
	if s.table == nil {
		return // not installed yet: packets of another daemon's table, which are as good as none
	}
	s.heard++
	s.lastHeard = arrived
	for _, e := range s.tracker.Observe(arrived, p) {
		switch e.Action {
		case knock.Muted:
			s.happened(event.Event{Kind: event.Scan, Source: e.Source.String(), Until: time.Now().Add(s.cfg.Scan.Mute)})
			g.scans.Call()
		case knock.CheckCode:
			g.checkCode(e, arrived)
		case knock.Grant:
			g.decide(grant.Decision{Grant: grant.For(e.Door, e.Source, grant.Knock)}, arrived)
		case knock.Revoke:
			g.decide(grant.Decision{Grant: grant.For(e.Door, e.Source, grant.Knock), Revoke: true}, arrived)
		}
	}
}

// decide does what a knock asks for, or leaves it to repair. The lock is held.
func (g *Gate) decide(d grant.Decision, arrived time.Time) {
	if err := g.state.grants.Decide(d, arrived); err != nil {
		signal(g.repairs)
	}
}

// signal has the receiver of a channel come to it, once for several signals.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
