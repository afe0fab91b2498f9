package demo

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/knock"
)

// A triggerCheck tries a door that guards nothing: what it does are the events that hooks are
// run for.
type triggerCheck struct {
	*doorCheck
	bus   *event.Bus
	letIn netip.Prefix // what the events are about
}

func (t *triggerCheck) steps() []step {
	steps := []step{{tries: t.triesKnocksToOpen(), do: t.awaits(event.Granted, settleLimit, t.knocksToOpen)}}
	switch {
	case len(t.door.CloseSequence) > 0:
		steps = append(steps, step{tries: t.triesKnocks(t.door.CloseSequence), do: t.awaits(event.Revoked, settleLimit, t.knocksToClose)})
	case t.door.OpenTimeout == knock.Forever:
		steps = append(steps, step{tries: "nothing more", skipped: "the trigger stays set until an administrator closes it"})
	case t.door.OpenTimeout <= expiryLimit:
		waits := func(context.Context) (string, error) { return "", nil }
		steps = append(steps, step{tries: "nothing more", do: t.awaits(event.Expired, t.door.OpenTimeout+settleLimit, waits)})
	default:
		steps = append(steps, step{tries: "nothing more", skipped: fmt.Sprintf("the event \"expired\" comes after %v", t.door.OpenTimeout)})
	}
	return steps
}

// awaits does something, and waits for the event that it has to make.
func (t *triggerCheck) awaits(kind event.Kind, limit time.Duration, do func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		events, err := t.bus.Subscribe(event.Now, kind)
		if err != nil {
			return "", err
		}
		defer events.Close()
		if _, err := do(ctx); err != nil {
			return "", err
		}
		soon, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		for {
			e, err := events.Next(soon)
			if err != nil {
				return "", fmt.Errorf("no event %q within %s", kind, brief(limit))
			}
			if e.Door == t.door.Name && t.isAbout(e.Source) {
				return fmt.Sprintf("event %q, %s after the last knock", kind, brief(time.Since(t.lastKnock))), nil
			}
		}
	}
}

func (t *triggerCheck) isAbout(source string) bool {
	return source == t.letIn.String() || t.letIn.IsSingleIP() && source == t.letIn.Addr().String()
}
