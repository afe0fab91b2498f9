package gate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
)

// Whoever follows reloads learns of a configuration that is tried, and of what comes back.
func TestTrialIsReloaded(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		events, err := r.bus.Subscribe(event.Now, event.Reloaded)
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close()
		tried := parse(t, "[door.web]\nports = [443]\nsequence = [5303, 4871]\n")
		if err := r.BeginTrial(context.Background(), tried, time.Minute); err != nil {
			t.Fatal(err)
		}
		r.UndoTrial(errors.New("nobody has knocked"))
		for _, want := range []string{"web", "ssh"} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			e, err := events.Next(ctx)
			cancel()
			if err != nil || strings.Join(e.Doors, " ") != want {
				t.Errorf("reloaded: doors %q, want %s; %v", e.Doors, want, err)
			}
		}
	})
}
