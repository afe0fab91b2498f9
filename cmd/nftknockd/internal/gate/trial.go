package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
	"nftknock/nft"
)

// A trial is what a gate goes back to.
type trial struct {
	until  time.Time
	before *config.Config
	grants []nft.Grant // that there were before it, of any door
	began  time.Time
}

// ErrOnTrial says that a trial is under way.
var ErrOnTrial = errors.New("a configuration is on trial: wait until it has ended")

// Announce says in the status that what is in force is on trial, until a time.
func (g *Gate) Announce(until time.Time) { g.setTrial(&trial{until: until}) }

// Commit has the table of a trial outlast the process, and ends what was announced.
func (g *Gate) Commit(table *nft.Table, cfg *config.Config) error {
	if err := g.commit(table, cfg); err != nil {
		return err
	}
	g.endTrial()
	return nil
}

func (g *Gate) commit(table *nft.Table, cfg *config.Config) error {
	g.state.Lock()
	defer g.unlock()
	if err := table.Commit(cfg.OwnTable == config.Auto); err != nil {
		return fmt.Errorf("the table could not be kept, and is gone: %w", err)
	}
	if snapshot := cfg.Snapshot(); snapshot != nil {
		if err := errors.Join(g.deps.State.KeepLastGood(snapshot), g.deps.State.EndTrial()); err != nil {
			g.deps.Log.Warn(err.Error())
		}
	}
	return nil
}

// BeginTrial puts a configuration in force for a time, which ends with PassTrial or UndoTrial.
func (g *Gate) BeginTrial(ctx context.Context, cfg *config.Config, length time.Duration) error {
	return g.do(ctx, func() error { return g.beginTrial(cfg, length) })
}

// PassTrial leaves the configuration in force that an event has proved.
func (g *Gate) PassTrial(cfg *config.Config, who event.Event) error {
	g.deps.Log.Info("the trial has passed", "door", who.Door, "source", who.Source)
	return g.do(context.Background(), func() error { g.endTrial(); g.inForce(cfg); return nil })
}

// UndoTrial puts in force what was before, however often the kernel refuses.
func (g *Gate) UndoTrial(why error) {
	for {
		failed := g.do(context.Background(), g.undoTrial)
		if failed == nil || errors.Is(failed, errStopped) { // the next start is with what was before
			break
		}
		g.deps.Log.Error("what was before the trial cannot be put in force yet", "error", failed)
		time.Sleep(retryAfter)
	}
	g.deps.Log.Warn("the trial has failed, what was before is in force again", "why", why)
}

var errStopped = errors.New("the daemon stops")

// do has Run's goroutine do something.
func (g *Gate) do(ctx context.Context, what func() error) error {
	reply := make(chan error, 1)
	select {
	case g.tasks <- func() { reply <- what() }:
		return <-reply
	case <-ctx.Done():
		return ctx.Err()
	case <-g.ended:
		return errStopped
	}
}

func (g *Gate) beginTrial(cfg *config.Config, length time.Duration) error {
	if g.state.trial != nil {
		return ErrOnTrial
	}
	snapshot, err := g.inspect(g.state.cfg.Table)
	if err != nil {
		return err
	}
	// First, so that no crash can come between.
	if err := g.deps.State.BeginTrial(cfg.Fingerprint()); err != nil {
		return err
	}
	now := time.Now()
	t := &trial{until: now.Add(length), before: g.state.cfg, grants: snapshot.Grants, began: now}
	if err := g.replace(cfg); err != nil {
		return errors.Join(err, g.deps.State.EndTrial())
	}
	g.setTrial(t)
	g.deps.Log.Warn("a configuration is on trial", "until", t.until.Format(time.RFC3339))
	return nil
}

func (g *Gate) setTrial(t *trial) {
	g.state.Lock()
	g.state.trial = t
	status := g.state.serviceStatus()
	g.state.told = status
	g.unlock()
	g.deps.Notify(status)
}

func (g *Gate) endTrial() { g.setTrial(nil) }

// undoTrial puts in force what was before, with everybody who was let in then through
// doors that the tried configuration did not have.
func (g *Gate) undoTrial() error {
	t := g.state.trial
	tried := g.state.cfg.DoorNames()
	if err := g.replace(t.before); err != nil {
		return err
	}
	var lost []grant.Grant
	for _, p := range t.grants {
		if !slices.Contains(tried, p.Door) {
			lost = append(lost, grant.Of(p, t.began))
		}
	}
	g.endTrial()
	if err := g.Apply(lost...); err != nil {
		g.deps.Log.Error("some of who was in before the trial have to knock again", "error", err)
	}
	return nil
}
