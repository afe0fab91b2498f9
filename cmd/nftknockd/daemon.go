package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/control"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A gate connects the log to the tracker and the tracker to the table:
//
//	nft.Listener → observe → knock.Tracker → act → nft.Table
//	                                          └─→ emit → log, metrics, control.Hub
//
// Whatever the kernel refuses is left for mend, which tries until the kernel
// holds what was decided.
type gate struct {
	log   *slog.Logger
	tell  func(state string) // to the service manager
	state stateDir
	amiss chan struct{} // there is something to mend
	lost  throttle      // reports log messages that were lost
	scans throttle      // has run look whether the decoys are still good
	stale chan struct{} // there may be better decoys

	began   time.Time
	hub     control.Hub // tells those who watch
	metrics *metrics
	reloads chan chan<- error // asks for a reload
	servers []*server

	listen  func(group uint16) (listener, error)
	install func(r *nft.Ruleset, own bool) (*nft.Table, error)
	inspect func(table string) (*nft.Snapshot, error)
	letIn   func(knock.Event) // told of whoever is let in by a knock; must not block

	mu       sync.Mutex // the listener's goroutine and the daemon's own share what follows
	cfg      *config.Config
	tracker  *knock.Tracker
	decoys   []knock.Port
	codes    *codes
	table    table
	listener listener
	watcher  *nft.Watcher // nil if nobody else can change the table
	damage   damage
	damaged  bool                // mend could not put everything right
	forever  map[place]time.Time // since when those are in whose time has no end
}

// table is what the gate needs of an nft.Table.
type table interface {
	LetIn(door string, source netip.Addr, timeout time.Duration, comment string) (netip.Prefix, error)
	PutOut(door string, source netip.Addr) (netip.Prefix, error)
	Replace(*nft.Ruleset) error
	Restore() error
	Remove() error
	Owned() bool
	Close() error
}

// listener is what the gate needs of an nft.Listener.
type listener interface {
	Failed() <-chan error
	Lost() uint64
	Close() error
}

// serve guards this network namespace as cfg says until ctx ends. It calls
// ready once the table is in and the log is being read. If it cannot start,
// nothing is left behind in the kernel.
func serve(ctx context.Context, cfg *config.Config, state stateDir, log *slog.Logger, ready func()) error {
	g := newGate(log, state, func(string) {})
	if err := g.start(cfg); err != nil {
		return err
	}
	ready()
	return g.run(ctx, nil, nil)
}

func newGate(log *slog.Logger, state stateDir, tell func(string)) *gate {
	g := &gate{
		log: log, tell: tell, state: state,
		amiss: make(chan struct{}, 1), stale: make(chan struct{}, 1), reloads: make(chan chan<- error),
	}
	g.install, g.letIn = nft.Open, func(knock.Event) {}
	g.began, g.inspect, g.forever = time.Now(), nft.Inspect, make(map[place]time.Time)
	g.metrics = newMetrics()
	g.lost = throttle{every: 10 * time.Second, do: func() {
		total := g.losses()
		log.Warn("messages of the kernel's packet log were lost", "total", total)
		g.publish(control.Event{Kind: control.Lost, Count: total})
	}}
	g.scans = throttle{every: 10 * time.Second, do: func() { poke(g.stale) }}
	g.listen = func(group uint16) (listener, error) {
		l, err := nft.Listen(group, g.observe, g.lost.call)
		if err != nil {
			return nil, err // and not a nil of another type
		}
		return l, nil
	}
	return g
}

func (g *gate) start(cfg *config.Config) error {
	listener, err := g.open(cfg)
	if err != nil {
		if listener != nil {
			listener.Close()
		}
		return err
	}
	g.log.Info("guarding", "doors", len(cfg.Doors), "table", cfg.Table, "owned", g.table.Owned(), "nflog_group", cfg.NFLogGroup)
	return nil
}

// open listens to the log and then installs the table. That of a daemon that was
// killed may be logging already: its packets wait for the lock.
func (g *gate) open(cfg *config.Config) (listener, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	listener, err := g.listen(cfg.NFLogGroup)
	if err != nil {
		return nil, err
	}
	decoys := g.chooseDecoys(cfg)
	table, err := g.install(rulesetOf(cfg, decoys), cfg.OwnTable == config.Auto)
	if err != nil {
		return listener, err
	}
	g.cfg, g.listener, g.table, g.decoys = cfg, listener, table, decoys
	g.codes = newCodes(g.state, cfg.OTP)
	g.tracker = knock.NewTracker(cfg.Doors, knock.Scan{Decoys: decoys, Mute: cfg.Scan.Mute}, cfg.Limits.Sources)
	if !table.Owned() {
		if g.watcher, err = table.Watch(); err != nil {
			g.log.Warn("changes that others make to the table will not be noticed", "error", err)
		}
	}
	return listener, nil
}

func (g *gate) losses() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil { // the daemon is about to end
		return 0
	}
	return g.listener.Lost()
}

// run does what is not a packet's doing: reloads, repairs, and the end. At each
// hangup it asks load for the configuration to go on with.
func (g *gate) run(ctx context.Context, hangups <-chan os.Signal, load func() (*config.Config, error)) error {
	for {
		var changed <-chan struct{}
		if g.watcher != nil {
			changed = g.watcher.Changed()
		}
		select {
		case <-ctx.Done():
			return g.stop()
		case <-hangups:
			g.reload(load)
		case reply := <-g.reloads:
			reply <- g.reload(load)
		case err := <-g.listener.Failed():
			g.report(damage{deaf: fmt.Errorf("the packet log cannot be read: %w", err)})
		case <-changed:
			g.report(damage{table: fmt.Errorf("somebody else has changed table %s", g.cfg.Table)})
		case <-g.stale:
			g.renewDecoys()
		case <-g.amiss:
		}
		g.mend()
	}
}

func (g *gate) stop() error {
	for _, s := range g.servers {
		s.stop()
	}
	g.listener.Close()
	if g.watcher != nil {
		g.watcher.Close()
	}
	defer g.table.Close()
	if g.cfg.OnStop == config.Remove {
		if err := g.table.Remove(); err != nil {
			return err
		}
	}
	g.log.Info("stopped", "table", g.cfg.OnStop)
	return nil
}

// observe takes in one packet from the log.
func (g *gate) observe(arrived time.Time, p knock.Packet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.table == nil {
		return // it could not be opened; the daemon is about to end
	}
	for _, e := range g.tracker.Observe(arrived, p) {
		switch e.Action {
		case knock.Muted:
			g.emit(control.Event{Kind: control.Scan, Source: e.Source.String(), Until: time.Now().Add(g.cfg.Scan.Mute)})
			g.scans.call()
			continue
		case knock.CheckCode:
			if !g.check(e) {
				continue
			}
			e.Action = knock.Grant
		}
		g.damage.supersede(e)
		if err := g.act(e); err != nil {
			g.damage.add(e, err)
			poke(g.amiss)
		} else if e.Action == knock.Grant {
			g.metrics.opening.Observe(time.Since(arrived).Seconds())
		}
	}
}

// check says whether a one-time code is right, and mutes who has knocked a wrong one.
func (g *gate) check(e knock.Event) bool {
	err := g.codes.accept(e.Door.Name, e.Code, time.Now())
	if errors.Is(err, errWrongCode) {
		g.tracker.Mute(time.Now(), e.Source)
	}
	if err != nil {
		g.emit(control.Event{Kind: control.Refused, Door: e.Door.Name, Source: e.Source.String(), Text: err.Error()})
	}
	return err == nil
}

// act does what a completed sequence asks for.
func (g *gate) act(e knock.Event) error {
	_, err := g.carryOut(e, e.Door.OpenTimeout, control.ByKnock)
	if err == nil && e.Action == knock.Grant {
		g.letIn(e)
	}
	return err
}

// carryOut lets in or puts out, and says so. It never says what was knocked.
func (g *gate) carryOut(e knock.Event, timeout time.Duration, by string) (control.Event, error) {
	done := control.Event{Door: e.Door.Name, By: by}
	switch e.Action {
	case knock.Grant:
		prefix, err := g.table.LetIn(e.Door.Name, e.Source, timeout, by)
		if err != nil {
			return done, fmt.Errorf("cannot let in: %w", err)
		}
		done.Kind, done.Source = control.LetIn, name(prefix)
		if timeout != knock.Forever {
			done.Until = time.Now().Add(timeout)
		}
	case knock.Revoke:
		prefix, err := g.table.PutOut(e.Door.Name, e.Source)
		if err != nil {
			return done, fmt.Errorf("cannot put out: %w", err)
		}
		done.Kind, done.Source = control.PutOut, name(prefix)
	}
	g.noteForever(done)
	g.emit(done)
	return done, nil
}
