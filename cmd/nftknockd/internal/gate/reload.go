package gate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/config"
	"nftknock/knock"
)

// reload puts another configuration in force, or leaves the old one as it is.
func (g *gate) reload(load func() (*config.Config, error)) error {
	g.tell(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	cfg, err := load()
	if err == nil {
		err = g.replace(cfg)
	}
	if err != nil {
		logErrors(g.log, "reload refused, the old configuration stays in force", err)
		first, _, _ := strings.Cut(err.Error(), "\n")
		g.tell(daemon.SdNotifyReady + "\nSTATUS=reload refused, the old configuration stays in force: " + first)
		g.publish(control.Event{Kind: control.ReloadRefused, Text: err.Error()})
		return err
	}
	g.emit(control.Event{Kind: control.Reloaded, Doors: doorNames(cfg)})
	g.tellReady()
	return nil
}

// replace changes the table in one transaction. Who is let in through a door
// that remains stays in, and knocks in progress at sequences that do not change count on.
func (g *gate) replace(cfg *config.Config) error {
	const how = "cannot change while the daemon runs: stop it, run `nftknockd remove`, and start it again"
	const restart = "cannot change while the daemon runs: restart it; doors stay shut and people stay in"
	switch {
	case cfg.Table != g.cfg.Table:
		return errors.New("`table` " + how)
	case cfg.OwnTable != g.cfg.OwnTable:
		return errors.New("`own_table` " + how)
	case cfg.LogFormat != g.cfg.LogFormat:
		return errors.New("`log_format` " + restart)
	case cfg.Metrics != g.cfg.Metrics:
		return errors.New("`[metrics]` " + restart)
	}
	listener := g.listener
	if cfg.NFLogGroup != g.cfg.NFLogGroup {
		var err error
		if listener, err = g.listen(cfg.NFLogGroup); err != nil {
			return err
		}
	}
	unused, err := g.swap(cfg, g.chooseDecoys(cfg), listener)
	if unused != g.listener {
		unused.Close() // not under the lock, which observe may be waiting for
	}
	return err
}

// swap puts the configuration and its listener in force, and returns the
// listener that is not needed any more, if it is another one.
func (g *gate) swap(cfg *config.Config, decoys []knock.Port, fresh listener) (listener, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.table.Replace(rulesetOf(cfg, decoys)); err != nil {
		// It may have been committed all the same, if it was the answer that got lost.
		g.damage.table = fmt.Errorf("the reload failed: %w", err)
		return fresh, err
	}
	old := g.listener
	g.cfg, g.listener, g.decoys = cfg, fresh, decoys
	g.codes = newCodes(g.state, cfg.OTP)
	g.damage.forgetAllBut(cfg.Doors)
	names := doorNames(cfg)
	maps.DeleteFunc(g.forever, func(p place, _ time.Time) bool { return !slices.Contains(names, p.door) })
	g.tracker = g.tracker.WithDoors(cfg.Doors, knock.Scan{Decoys: decoys, Mute: cfg.Scan.Mute}, cfg.Limits.Sources)
	return old, nil
}
