package event

import (
	"time"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/nft"
)

// emit logs what has happened, and publishes it.
func (g *gate) emit(e control.Event) {
	var about []any
	add := func(key, value string) {
		if value != "" {
			about = append(about, key, value)
		}
	}
	add("door", e.Door)
	add("source", e.Source)
	add("by", e.By)
	switch e.Kind {
	case control.LetIn, control.Scan:
		add("until", until(e.Until))
	case control.Reloaded:
		about = append(about, "doors", len(e.Doors))
	}
	add("why", e.Text)
	g.log.Info(e.Kind.String(), about...)
	g.publish(e)
}

// publish tells those who watch, and the metrics, what has happened.
func (g *gate) publish(e control.Event) {
	e.Time = time.Now()
	g.metrics.count(e)
	g.hub.Publish(e)
}

// watch begins to watch what happens.
func (g *gate) watch(kinds []control.Kind) (*control.Watcher, error) {
	return g.hub.Watch(kinds, func() []control.Event {
		g.mu.Lock()
		table := g.cfg.Table
		g.mu.Unlock()
		snapshot, err := g.inspect(table)
		if err != nil {
			g.log.Warn("some who go out will not be seen to by those who watch", "error", err)
			return nil
		}
		return arrivals(snapshot)
	})
}

// arrivals returns the events by which those who are in have come in.
func arrivals(s *nft.Snapshot) []control.Event {
	now := time.Now()
	var events []control.Event
	for _, p := range s.People {
		events = append(events, control.Event{
			Time: p.Since, Kind: control.LetIn, Door: p.Door, Source: name(p.Source), By: p.By, Until: endOf(p, now),
		})
	}
	return events
}
