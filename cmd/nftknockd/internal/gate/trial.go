package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A trial is a gate whose table goes with the process, until somebody is let in.
type trial struct {
	cfg   *config.Config
	state stateDir
	show  *countdown
	table *nft.Table
	in    chan knock.Event // who was let in
}

// run returns who was let in first; the table stays then. With an error there is no
// table any more.
func (t *trial) run(ctx context.Context, length time.Duration) (knock.Event, error) {
	if err := nft.Free(t.cfg.Table); err != nil {
		return knock.Event{}, err
	}
	g := t.gate()
	cfg := *t.cfg
	cfg.OnStop = config.Keep // by a gate that gives the table up, as this one will
	if err := g.start(&cfg); err != nil {
		return knock.Event{}, err
	}
	gateCtx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.run(gateCtx, nil, nil) }()

	t.show.begin(t.cfg, length)
	who, err := t.wait(ctx, g, time.Now().Add(length))
	stop()
	t.show.end()
	return who, errors.Join(err, <-ended)
}

func (t *trial) gate() *gate {
	log := slog.New(slog.NewTextHandler(t.show, &slog.HandlerOptions{Level: slog.LevelWarn}))
	g := newGate(log, t.state, func(string) {})
	g.install = func(r *nft.Ruleset, _ bool) (*nft.Table, error) {
		var err error
		t.table, err = nft.Try(r)
		return t.table, err
	}
	t.in = make(chan knock.Event, 1)
	g.letIn = func(e knock.Event) {
		select {
		case t.in <- e:
		default: // one is enough
		}
	}
	return g
}

// wait waits for somebody to be let in, and keeps the table then.
func (t *trial) wait(ctx context.Context, g *gate, end time.Time) (knock.Event, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case e := <-t.in:
			if err := t.keep(g); err != nil {
				return e, fmt.Errorf("the table could not be kept, and is gone: %w", err)
			}
			return e, nil
		case <-ctx.Done():
			return knock.Event{}, errors.New("interrupted: the table is gone, and everything as it was")
		case <-tick.C:
		}
		switch left := time.Until(end); {
		case left <= 0:
			return knock.Event{}, errors.New("nobody has knocked a whole sequence: the table is gone, and everything as it was")
		case !g.healthy():
			return knock.Event{}, errors.New("the gate does not work: the table is gone, and everything as it was")
		default:
			t.show.left(left)
		}
	}
}

func (t *trial) keep(g *gate) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.table.Keep(t.cfg.OwnTable == config.Auto)
}
