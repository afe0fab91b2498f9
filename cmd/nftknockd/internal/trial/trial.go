// Package trial tries a configuration, and takes it back unless it lets somebody in. It uses a
// gate from outside, as an administrator would who watches what comes in.
package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/statedir"
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
	stopServing := serve(Gate{g, deps.Log, deps.State})
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
type Gate struct {
	*gate.Gate
	Log   *slog.Logger
	State statedir.Dir
}

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
	var before *earlier
	err = g.Do(ctx, func() (err error) {
		before, err = g.begin(cfg, length)
		return err
	})
	if err != nil {
		return event.Event{}, err
	}
	who, err := awaitProof(ctx, g.Gate, grants, length, show)
	if err == nil {
		g.Log.Info("the trial has passed", "door", who.Door, "source", who.Source)
		return who, g.Do(context.Background(), func() error {
			g.Announce(time.Time{})
			g.InForce(cfg)
			return nil
		})
	}
	for {
		failed := g.Do(context.Background(), func() error { return g.undo(before) })
		if failed == nil || errors.Is(failed, gate.ErrStopped) { // the next start is with what was before
			break
		}
		g.Log.Error("what was before the trial cannot be put in force yet", "error", failed)
		time.Sleep(retryAfter)
	}
	g.Log.Warn("the trial has failed, what was before is in force again", "why", err)
	return who, fmt.Errorf("%w: what was before is in force again", err)
}

// retryAfter is how long after the kernel has refused what was before it is asked again.
const retryAfter = 100 * time.Millisecond

// earlier is what a trial goes back to.
type earlier struct {
	cfg    *config.Config
	grants []nft.Grant // that there were, of any door
	at     time.Time
}

func (g Gate) begin(cfg *config.Config, length time.Duration) (*earlier, error) {
	if g.OnTrial() {
		return nil, gate.ErrOnTrial
	}
	snapshot, err := g.Inspect()
	if err != nil {
		return nil, err
	}
	// First, so that no crash can come between.
	if err := g.State.BeginTrial(cfg.Fingerprint()); err != nil {
		return nil, err
	}
	before := &earlier{g.Config(), snapshot.Grants, time.Now()}
	until := before.at.Add(length)
	if err := g.Replace(cfg); err != nil {
		return nil, errors.Join(err, g.State.EndTrial())
	}
	g.Announce(until)
	g.Log.Warn("a configuration is on trial", "until", until.Format(time.RFC3339))
	return before, nil
}

// undo puts in force what was before, with everybody who was let in then through doors that
// the tried configuration did not have.
func (g Gate) undo(before *earlier) error {
	tried := g.Config().DoorNames()
	if err := g.Replace(before.cfg); err != nil {
		return err
	}
	var lost []grant.Grant
	for _, p := range before.grants {
		if !slices.Contains(tried, p.Door) {
			lost = append(lost, grant.Of(p, before.at))
		}
	}
	g.Announce(time.Time{})
	if err := g.Apply(lost...); err != nil {
		g.Log.Error("some grants from before the trial are not restored: their sources have to knock again", "error", err)
	}
	return nil
}
