package gate

import (
	"context"
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
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
		for _, cfg := range []*config.Config{tried, r.Config()} {
			if err := r.Do(context.Background(), func() error { return r.Replace(cfg) }); err != nil {
				t.Fatal(err)
			}
		}
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
