package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/ruleset"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A ReloadError says that a configuration was refused, and that the old one stays in force.
type ReloadError struct{ Err error }

func (e *ReloadError) Error() string { return e.Err.Error() }
func (e *ReloadError) Unwrap() error { return e.Err }

// Reload has Run read the configuration anew and put it in force. Its error is a
// [*ReloadError], or the context's.
func (g *Gate) Reload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case g.reloads <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reload puts another configuration in force, or leaves the old one as it is.
func (g *Gate) reload() error {
	g.deps.Notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	cfg, err := g.loadForReload()
	if err == nil {
		err = g.Replace(cfg)
	}
	if err != nil {
		g.deps.Bus.Publish(event.Event{Kind: event.ReloadRefused, Text: err.Error()})
		first, _, _ := strings.Cut(err.Error(), "\n")
		g.state.Lock()
		g.state.told = "" // a status that is no more
		g.unlock()
		g.deps.Notify(daemon.SdNotifyReady + "\nSTATUS=reload refused, the old configuration stays in force: " + first)
		return &ReloadError{err}
	}
	g.InForce(cfg)
	g.notifyReady()
	return nil
}

func (g *Gate) loadForReload() (*config.Config, error) {
	switch {
	case !g.state.trialUntil.IsZero():
		return nil, ErrOnTrial
	case g.deps.Load == nil:
		return nil, errors.New("there is no file to read anew")
	}
	return g.deps.Load()
}

// Replace changes the table in one transaction. The grants of doors that remain stay, and
// attempts at sequences that do not change go on.
func (g *Gate) Replace(cfg *config.Config) error {
	old := g.state.cfg // Run's goroutine, which this is, alone changes it
	if err := cfg.CheckReload(old); err != nil {
		return err
	}
	listener := g.state.listener
	if _, unheard := listener.(kernel.NoListener); unheard || cfg.NFLogGroup != old.NFLogGroup {
		var err error
		if listener, err = g.listen(cfg); err != nil {
			return err
		}
	}
	decoys := ruleset.LastingDecoys(cfg, g.deps.State, g.deps.Log)
	return g.swap(cfg, decoys, listener, &event.Event{Kind: event.Reloaded, Doors: cfg.DoorNames()})
}

// swap puts a configuration and its listener in force, and queues an event. It closes
// the listener that is not needed any more.
func (g *Gate) swap(cfg *config.Config, decoys []knock.Port, listener kernel.Listener, done *event.Event) error {
	unused, err := g.swapLocked(cfg, decoys, listener, done)
	if unused != g.state.listener {
		unused.Close() // not under the lock, which observe may be waiting for
	}
	return err
}

func (g *Gate) swapLocked(cfg *config.Config, decoys []knock.Port, listener kernel.Listener, done *event.Event) (unused kernel.Listener, err error) {
	s := &g.state
	s.Lock()
	defer g.unlock()
	lost, err := g.grantsWithout(cfg)
	if err != nil {
		return listener, err
	}
	if err := s.table.Replace(ruleset.Of(cfg, decoys)); err != nil {
		// It may have been committed all the same, if it was the answer that got lost.
		s.repair.table = fmt.Errorf("the reload failed: %w", err)
		return listener, err
	}
	unused = s.listener
	if listener != s.listener {
		s.repair.listener = nil
	}
	s.cfg, s.listener, s.decoys = cfg, listener, decoys
	s.codes.SetDoors(cfg.OTP)
	g.packets.SetRules(cfg)
	s.grants.KeepDoors(cfg.DoorNames(), lost)
	s.tracker = s.tracker.WithDoors(cfg.Doors, knock.Scan{Decoys: decoys, Mute: cfg.Scan.Mute}, cfg.Limits.Sources)
	if done != nil {
		s.happened(*done)
	}
	return unused, nil
}

// grantsWithout returns the grants that end with the doors that a configuration does not
// have any more. The lock is held, so that none is made meanwhile.
func (g *Gate) grantsWithout(cfg *config.Config) ([]grant.Grant, error) {
	names := cfg.DoorNames()
	if !slices.ContainsFunc(g.state.cfg.DoorNames(), func(old string) bool { return !slices.Contains(names, old) }) {
		return nil, nil
	}
	snapshot, err := g.deps.Inspect(g.state.cfg.Table)
	if errors.Is(err, nft.ErrNoTable) {
		return nil, nil // a repair is under way
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read who is let in: %w", err)
	}
	return grant.Without(snapshot.Grants, names), nil
}

// renewDecoys chooses other decoys if a program has begun to listen on one: its users
// would be muted. It is done now and then after a decoy was touched.
func (g *Gate) renewDecoys() {
	host, _ := config.ReadHost()
	if !slices.ContainsFunc(g.state.decoys, func(p knock.Port) bool { return host.Listening[p] }) {
		return
	}
	if err := g.swap(g.state.cfg, ruleset.LastingDecoys(g.state.cfg, g.deps.State, g.deps.Log), g.state.listener, nil); err != nil {
		g.deps.Log.Error("a program listens on a decoy, and no other can be chosen", "error", err)
		return
	}
	g.deps.Log.Info("a program listens on a decoy: another one was chosen")
}
