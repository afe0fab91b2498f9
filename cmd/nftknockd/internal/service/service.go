// Package service tells the service manager how the daemon is (sd_notify(3)).
package service

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notify tells the service manager, if there is one (sd_notify(3)).
func Notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("cannot notify the service manager", "state", state, "error", err)
	}
}

// FeedWatchdog tells it by notify that the daemon works, while it does: a daemon that does not
// for longer than WatchdogSec is restarted. Without a watchdog it returns.
func FeedWatchdog(ctx context.Context, log *slog.Logger, works func() bool, notify func(state string)) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot feed the service manager's watchdog", "error", err)
	}
	if err != nil || limit == 0 {
		return
	}
	ticker := time.NewTicker(limit / 3)
	defer ticker.Stop()
	for {
		if works() {
			notify(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Status is the line for `systemctl status`: why the daemon is degraded, or until when a
// configuration is on trial, or how many doors it guards.
func Status(degraded error, trialUntil time.Time, doors int) string {
	switch {
	case degraded != nil:
		return fmt.Sprintf("STATUS=degraded: %v", degraded)
	case !trialUntil.IsZero():
		return "STATUS=guarding on trial until " + trialUntil.Format(time.TimeOnly)
	case doors == 0:
		return "STATUS=no door is configured: nothing is guarded"
	case doors == 1:
		return "STATUS=guarding, 1 door"
	}
	return fmt.Sprintf("STATUS=guarding, %d doors", doors)
}
