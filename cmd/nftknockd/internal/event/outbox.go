package event

import "time"

// An Outbox keeps events in order until they may be published. It is not safe for concurrent use.
type Outbox struct{ queue []outgoing }

type outgoing struct {
	Event
	to *Watcher // nil: everybody's
}

// Add queues an event that happens now.
func (o *Outbox) Add(e Event) {
	e.Time = time.Now()
	o.queue = append(o.queue, outgoing{Event: e})
}

// AddFor queues an event for one watcher.
func (o *Outbox) AddFor(w *Watcher, e Event) { o.queue = append(o.queue, outgoing{e, w}) }

// Empty reports whether nothing is queued.
func (o *Outbox) Empty() bool { return len(o.queue) == 0 }

// Publish tells a bus, and the watchers, what is queued.
func (o *Outbox) Publish(bus *Bus) {
	for _, e := range o.queue {
		if e.to != nil {
			e.to.Offer(e.Event)
		} else {
			bus.Publish(e.Event)
		}
	}
}
