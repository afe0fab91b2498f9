// Package trial tries a configuration, and takes it back unless it lets somebody in. It uses a
// gate from outside, as an administrator would who watches what comes in.
package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/config"
	"nftknock/nft"
)

// Alone guards as a configuration says for a time, without a daemon, with a table that
// the kernel takes away with the process. Meanwhile serve answers for the gate, until stop.
// When a knock has let somebody in the table is kept, and passed is called while knocks are
// still heard; if it returns nil this process gives the table up to the daemon that has been
// told to start, otherwise it goes on guarding until the context of passed's result ends.
// With an error there is no table.
func Alone(ctx context.Context, cfg *config.Config, deps gate.Deps, length time.Duration, show Countdown,
	serve func(Gate) (stop func()), passed func(event.Event) context.Context) error {
	if err := nft.CheckAbsent(cfg.Table); err != nil {
		return err
	}
	var table *nft.Table
	deps.Install = func(r *nft.Ruleset, _ bool) (kernel.Table, error) {
		var err error
		if table, err = nft.OpenTrial(r); err != nil {
			return nil, err
		}
		return table, nil
	}
	grants, err := deps.Bus.Subscribe(event.Now, event.Granted)
	if err != nil {
		return err
	}
	defer grants.Close()
	kept := *cfg
	kept.OnStop = config.Keep // by a gate that gives the table up, as this one will
	g, err := gate.New(&kept, deps)
	if err != nil {
		return err
	}
	g.Announce(time.Now().Add(length))
	gateCtx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(gateCtx) }()
	stopServing := serve(Gate{g})

	show.Begin(cfg, length)
	who, err := awaitProof(ctx, g, grants, length, show)
	show.End()
	if err == nil {
		err = g.Commit(table, cfg)
	} else {
		err = fmt.Errorf("%w; the table is gone, and everything as it was", err)
	}
	if err == nil {
		if guard := passed(who); guard != nil {
			<-guard.Done()
		}
	}
	stopServing()
	stop()
	return errors.Join(err, <-ended)
}

// A Gate is one that configurations are tried with.
type Gate struct{ *gate.Gate }

// Trial puts a configuration in force, and takes it back in one transaction unless, within
// a time, a whole knock of it has let somebody in and a connection came in by that. It is
// taken back at once when the context ends. The daemon that is killed meanwhile, with its
// machine or without, starts with what was before.
func (g Gate) Trial(ctx context.Context, cfg *config.Config, length time.Duration, show Countdown) (event.Event, error) {
	grants, err := g.Subscribe(event.Now, event.Granted)
	if err != nil {
		return event.Event{}, err
	}
	defer grants.Close()
	if err := g.BeginTrial(ctx, cfg, length); err != nil {
		return event.Event{}, err
	}
	show.Begin(cfg, length)
	who, err := awaitProof(ctx, g.Gate, grants, length, show)
	if err == nil {
		return who, g.PassTrial(cfg, who)
	}
	g.UndoTrial(err)
	return who, fmt.Errorf("%w; what was before is in force again", err)
}
