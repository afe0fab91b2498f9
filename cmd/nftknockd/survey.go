package main

import (
	"errors"
	"maps"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/control"
	"nftknock/knock"
	"nftknock/nft"
)

// lookAround returns how the gate is.
func (g *gate) lookAround() (*control.Status, error) {
	g.mu.Lock()
	cfg := g.cfg
	daemon := control.Daemon{
		Started: g.began, Uptime: time.Since(g.began).Seconds(),
		InProgress: g.tracker.InProgress(), Limit: cfg.Limits.Sources, MessagesLost: g.listener.Lost(),
		Muted: g.tracker.Muted(), Decoys: portNames(g.decoys),
	}
	if err := g.damage.err(); err != nil {
		daemon.Amiss = err.Error()
	}
	forever := maps.Clone(g.forever)
	g.mu.Unlock()

	status, err := survey(cfg.Table, g.inspect)
	if err != nil {
		return nil, err
	}
	status.Running, status.Daemon = true, &daemon
	status.Doors = inOrder(cfg.Doors, status.Doors)
	for i, p := range status.People {
		if p.Since.IsZero() {
			status.People[i].Since = forever[place{p.Door, p.Source}]
		}
	}
	return status, nil
}

// A place is who is let in, and through which door.
type place struct{ door, source string }

// noteForever remembers since when somebody is let in without an end, which the kernel does not.
// The lock is held.
func (g *gate) noteForever(e control.Event) {
	delete(g.forever, place{e.Door, e.Source})
	if e.Kind == control.LetIn && e.Until.IsZero() {
		g.forever[place{e.Door, e.Source}] = time.Now()
	}
}

// survey returns what the kernel knows.
func survey(table string, inspect func(string) (*nft.Snapshot, error)) (*control.Status, error) {
	status := &control.Status{Table: table, Doors: []control.Door{}, People: []control.Person{}}
	s, err := inspect(table)
	switch {
	case errors.Is(err, nft.ErrNoTable):
		return status, nil
	case err != nil:
		return nil, err
	}
	status.Exists, status.Owned = true, s.Owned
	for _, name := range s.Doors {
		status.Doors = append(status.Doors, doorIn(s, name))
	}
	now := time.Now()
	for _, p := range s.People {
		status.People = append(status.People, control.Person{
			Door: p.Door, Source: name(p.Source), By: p.By, Since: p.Since, Until: endOf(p, now),
		})
	}
	return status, nil
}

// doorIn sums up the ports that a door guards.
func doorIn(s *nft.Snapshot, name string) control.Door {
	d := control.Door{Name: name, Ports: []string{}, LetIn: s.Granted[name]}
	for _, guard := range s.Guards {
		if slices.Contains(guard.Doors, name) {
			d.Ports = append(d.Ports, guard.Port.String())
			d.Shut += guard.Shut
		}
	}
	return d
}

// inOrder returns the configured doors, with what is known of them.
func inOrder(configured []knock.Door, known []control.Door) []control.Door {
	doors := make([]control.Door, len(configured))
	for i, d := range configured {
		doors[i] = control.Door{Name: d.Name}
		if k := slices.IndexFunc(known, func(k control.Door) bool { return k.Name == d.Name }); k >= 0 {
			doors[i] = known[k]
		}
		doors[i].Ports = portNames(d.Ports)
	}
	return doors
}

// endOf returns when a person's time is over; the zero time is never.
func endOf(p nft.Person, now time.Time) time.Time {
	if p.Left == knock.Forever {
		return time.Time{}
	}
	return now.Add(p.Left)
}
