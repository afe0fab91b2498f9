package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"nftknock/config"
)

// notify tells the service manager, if there is one (sd_notify(3)).
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("the service manager cannot be told", "state", state, "error", err)
	}
}

// tellReady says that the configuration is in force.
func (g *gate) tellReady() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell(daemon.SdNotifyReady + "\n" + g.status())
}

// status is what `systemctl status` shows. The lock is held.
func (g *gate) status() string {
	switch err := g.damage.err(); {
	case err != nil:
		return fmt.Sprintf("STATUS=amiss: %v", err)
	case len(g.cfg.Doors) == 0:
		return "STATUS=no door is configured: nothing is guarded"
	case len(g.cfg.Doors) == 1:
		return "STATUS=guarding, 1 door"
	}
	return fmt.Sprintf("STATUS=guarding, %d doors", len(g.cfg.Doors))
}

// feedWatchdog tells the service manager that the daemon does its work, while it
// does: one that can do nothing for longer than WatchdogSec is started anew.
// Without a watchdog there is no timer.
func (g *gate) feedWatchdog(ctx context.Context) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		g.log.Warn("the service manager's watchdog cannot be fed", "error", err)
	}
	if err != nil || limit == 0 {
		return
	}
	ticker := time.NewTicker(limit / 3)
	defer ticker.Stop()
	for {
		if g.healthy() {
			g.tell(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// healthy says whether the daemon does its work.
func (g *gate) healthy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.damage.err() == nil
}

// logErrors logs an error; the problems of a configuration a line each.
func logErrors(log *slog.Logger, message string, err error) {
	var problems config.Errors
	if !errors.As(err, &problems) {
		log.Error(message, "error", err)
		return
	}
	for _, p := range problems {
		log.Error(message, "problem", p.String())
	}
}
