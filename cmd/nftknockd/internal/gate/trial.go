package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
	"nftknock/nft"
)

// A Countdown shows how long a trial goes on.
type Countdown interface {
	Begin(*config.Config, time.Duration)
	Left(time.Duration)
	End()
}

// Trial guards as a configuration says for a time, with a table that goes with the process.
// As soon as a knock is granted the table is kept, and its event returned. With an error
// there is no table any more.
func Trial(ctx context.Context, cfg *config.Config, deps Deps, length time.Duration, show Countdown) (event.Event, error) {
	if err := nft.Free(cfg.Table); err != nil {
		return event.Event{}, err
	}
	var table *nft.Table
	deps.Install = func(r *nft.Ruleset, _ bool) (Table, error) {
		var err error
		if table, err = nft.Try(r); err != nil {
			return nil, err
		}
		return table, nil
	}
	grants, err := deps.Bus.Subscribe(event.Now, event.Granted)
	if err != nil {
		return event.Event{}, err
	}
	defer grants.Close()
	kept := *cfg
	kept.OnStop = config.Keep // by a gate that gives the table up, as this one will
	g, err := New(&kept, deps)
	if err != nil {
		return event.Event{}, err
	}
	gateCtx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(gateCtx) }()

	show.Begin(cfg, length)
	who, err := g.awaitGrant(ctx, grants, length, show)
	if err == nil {
		err = g.keep(table, cfg.OwnTable == config.Auto)
	}
	stop()
	show.End()
	return who, errors.Join(err, <-ended)
}

// awaitGrant waits for the first grant.
func (g *Gate) awaitGrant(ctx context.Context, grants *event.Subscription, length time.Duration, show Countdown) (event.Event, error) {
	const gone = "the table is gone, and everything as it was"
	for end := time.Now().Add(length); ; {
		second, cancel := context.WithTimeout(ctx, time.Second)
		e, err := grants.Next(second)
		cancel()
		switch left := time.Until(end); {
		case err == nil:
			return e, nil
		case ctx.Err() != nil:
			return e, errors.New("interrupted: " + gone)
		case left <= 0:
			return e, errors.New("nobody has knocked a whole sequence: " + gone)
		case !g.Healthy():
			return e, errors.New("the gate does not work: " + gone)
		default:
			show.Left(left)
		}
	}
}

// keep has the table outlast the process.
func (g *Gate) keep(table *nft.Table, own bool) error {
	g.state.Lock()
	defer g.unlock()
	if err := table.Keep(own); err != nil {
		return fmt.Errorf("the table could not be kept, and is gone: %w", err)
	}
	return nil
}
