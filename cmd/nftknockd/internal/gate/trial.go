package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/config"
	"nftknock/nft"
)

// ErrOnTrial says that a trial is under way.
var ErrOnTrial = errors.New("a configuration is on trial: wait until it has ended")

// ErrStopped says that the gate does nothing more.
var ErrStopped = errors.New("the daemon stops")

// Do has Run's goroutine do something, beside which nothing else changes the configuration.
func (g *Gate) Do(ctx context.Context, what func() error) error {
	reply := make(chan error, 1)
	select {
	case g.tasks <- func() { reply <- what() }:
		return <-reply
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ended:
		return ErrStopped
	}
}

// OnTrial reports whether what is in force is on trial.
func (g *Gate) OnTrial() bool {
	g.state.Lock()
	defer g.unlock()
	return !g.state.trialUntil.IsZero()
}

// Announce says in the status that what is in force is on trial until a time, or is not if that
// is zero. Meanwhile no other configuration is taken.
func (g *Gate) Announce(until time.Time) {
	g.state.Lock()
	g.state.trialUntil = until
	status := g.state.serviceStatus()
	g.state.told = status
	g.unlock()
	g.deps.Notify(status)
}

// Commit has the table of a trial outlast the process, and ends what was announced.
func (g *Gate) Commit(table *nft.Table, cfg *config.Config) error {
	if err := g.commit(table, cfg); err != nil {
		return err
	}
	g.Announce(time.Time{})
	return nil
}

func (g *Gate) commit(table *nft.Table, cfg *config.Config) error {
	g.state.Lock()
	defer g.unlock()
	if err := table.Commit(cfg.OwnTable == config.Auto); err != nil {
		return fmt.Errorf("the table could not be kept, and is gone: %w", err)
	}
	if err := lastgood.Keep(g.deps.State, cfg); err != nil {
		g.deps.Log.Warn(err.Error())
	}
	return nil
}
