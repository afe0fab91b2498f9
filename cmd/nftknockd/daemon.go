package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A gate connects the log to the tracker and the tracker to the table:
//
//	nft.Listener → observe → knock.Tracker → act → nft.Table
type gate struct {
	log *slog.Logger

	mu      sync.Mutex // the listener's goroutine and the daemon's own share what follows
	tracker *knock.Tracker
	table   *nft.Table
}

// serve guards this network namespace as cfg says until ctx ends. It calls
// ready once the table is in and the log is being read. If it cannot start,
// nothing is left behind in the kernel.
func serve(ctx context.Context, cfg *config.Config, log *slog.Logger, ready func()) error {
	g := &gate{log: log, tracker: knock.NewTracker(cfg.Doors, cfg.Limits.Sources)}

	// The table of a daemon that was killed may still be logging: packets wait
	// here until the table is ours.
	g.mu.Lock()
	listener, err := nft.Listen(cfg.NFLogGroup, g.observe)
	if err == nil {
		g.table, err = nft.Open(rulesetOf(cfg))
	}
	g.mu.Unlock()
	if err != nil {
		if listener != nil {
			listener.Close()
		}
		return err
	}
	defer g.table.Close()

	log.Info("guarding", "doors", len(cfg.Doors), "table", cfg.Table, "nflog_group", cfg.NFLogGroup)
	ready()
	select {
	case <-ctx.Done():
	case err = <-listener.Failed():
	}
	listener.Close()
	if err == nil && cfg.OnStop == config.Remove {
		err = g.table.Remove()
	}
	if err == nil {
		log.Info("stopped", "table", cfg.OnStop)
	}
	return err
}

// observe takes in one packet from the log.
func (g *gate) observe(p knock.Packet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.tracker.Observe(time.Now(), p) {
		g.act(e)
	}
}

// act does what a completed sequence asks for, and says so. It never says what
// was knocked.
func (g *gate) act(e knock.Event) {
	if g.table == nil { // it could not be opened; the daemon is about to end
		return
	}
	log := g.log.With("door", e.Door.Name)
	switch e.Action {
	case knock.LetIn:
		prefix, err := g.table.LetIn(e.Door.Name, e.Source, "knock")
		if err != nil {
			log.Error("could not let in", "source", e.Source, "error", err)
			return
		}
		log.Info("let in", "source", name(prefix), "until", until(time.Now(), e.Door.OpenTimeout))
	case knock.PutOut:
		prefix, err := g.table.PutOut(e.Door.Name, e.Source)
		if err != nil {
			log.Error("could not put out", "source", e.Source, "error", err)
			return
		}
		log.Info("put out", "source", name(prefix))
	}
}
