package event

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// LogTo logs all events of a subscription until its context ends and all events from
// before are logged.
func LogTo(ctx context.Context, log *slog.Logger, events *Subscription) {
	for {
		e, err := events.Next(ctx)
		switch {
		case errors.Is(err, ErrGap):
			log.Warn("some events are not logged: too many came at once")
		case err != nil:
			return
		default:
			Log(log, e)
		}
	}
}

// Log logs an event: its kind is the message. Expiry is not logged: the line of the grant
// says when it ends.
func Log(log *slog.Logger, e Event) {
	var about []any
	add := func(key, value string) {
		if value != "" {
			about = append(about, key, value)
		}
	}
	add("door", e.Door)
	add("source", e.Source)
	add("by", e.By)
	add("key", e.Key)
	switch e.Kind {
	case Expired, Missed:
		return
	case ReloadRefused:
		for problem := range strings.SplitSeq(e.Text, "\n") {
			log.Error("reload refused, the old configuration stays in force", "problem", problem)
		}
		return
	case Degraded:
		log.Error(e.Kind.String(), "error", e.Text)
		return
	case Recovered:
		log.Warn(e.Kind.String(), "was", e.Text)
		return
	case Lost:
		log.Warn("messages of the kernel's packet log were lost", "total", e.Count)
		return
	case Granted, Scan:
		add("until", Until(e.Until))
	case Reloaded:
		about = append(about, "doors", len(e.Doors))
	}
	add("why", e.Text)
	log.Info(e.Kind.String(), about...)
}

// Until returns when a grant ends; the zero time is never.
func Until(end time.Time) string {
	if end.IsZero() {
		return "revoked"
	}
	return end.Format(time.RFC3339)
}
