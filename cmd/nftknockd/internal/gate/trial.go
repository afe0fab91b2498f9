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

// TrialAlone guards as a configuration says for a time, without a daemon, with a table that
// the kernel takes away with the process. Meanwhile serve answers for the gate, until stop.
// When a knock has let somebody in the table is kept, and passed is called while knocks are
// still heard; if it returns nil this process gives the table up to the daemon that has been
// told to start, otherwise it goes on guarding until the context of passed's result ends.
// With an error there is no table.
func TrialAlone(ctx context.Context, cfg *config.Config, deps Deps, length time.Duration, show Countdown,
	serve func(*Gate) (stop func()), passed func(event.Event) context.Context) error {
	if err := nft.CheckAbsent(cfg.Table); err != nil {
		return err
	}
	var table *nft.Table
	deps.Install = func(r *nft.Ruleset, _ bool) (Table, error) {
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
	g, err := New(&kept, deps)
	if err != nil {
		return err
	}
	g.setTrial(&trial{until: time.Now().Add(length)})
	gateCtx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(gateCtx) }()
	stopServing := serve(g)

	show.Begin(cfg, length)
	who, err := g.awaitProof(ctx, grants, length, show)
	show.End()
	if err == nil {
		if err = g.commit(table, cfg); err == nil {
			g.endTrial()
		}
	} else {
		err = fmt.Errorf("%w: the table is gone, and everything as it was", err)
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

// commit has the table of a trial outlast the process.
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

// A trial is what a gate goes back to.
type trial struct {
	until  time.Time
	before *config.Config
	grants []nft.Grant // that there were before it, of any door
	began  time.Time
}

// ErrOnTrial says that a trial is under way.
var ErrOnTrial = errors.New("a configuration is on trial: wait until it has ended")

// Trial puts a configuration in force, and takes it back in one transaction unless, within
// a time, a whole knock of it has let somebody in and a connection came in by that. It is
// taken back at once when the context ends. The daemon that is killed meanwhile, with its
// machine or without, starts with what was before.
func (g *Gate) Trial(ctx context.Context, cfg *config.Config, length time.Duration, show Countdown) (event.Event, error) {
	grants, err := g.deps.Bus.Subscribe(event.Now, event.Granted)
	if err != nil {
		return event.Event{}, err
	}
	defer grants.Close()
	if err := g.do(ctx, func() error { return g.beginTrial(cfg, length) }); err != nil {
		return event.Event{}, err
	}
	show.Begin(cfg, length)
	who, err := g.awaitProof(ctx, grants, length, show)
	if err == nil {
		g.deps.Log.Info("the trial has passed", "door", who.Door, "source", who.Source)
		err = g.do(context.Background(), func() error { g.endTrial(); g.inForce(cfg); return nil })
		return who, err
	}
	for {
		failed := g.do(context.Background(), g.undoTrial)
		if failed == nil || errors.Is(failed, errStopped) { // the next start is with what was before
			break
		}
		g.deps.Log.Error("what was before the trial cannot be put in force yet", "error", failed)
		time.Sleep(retryAfter)
	}
	g.deps.Log.Warn("the trial has failed, what was before is in force again", "why", err)
	return who, fmt.Errorf("%w: what was before is in force again", err)
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
