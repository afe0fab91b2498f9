package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/control"
	"nftknock/knock"
	"nftknock/nft"
)

// A desk is where an administrator asks things of the gate.
type desk struct {
	gate    *gate
	looking sync.Mutex // one look at the kernel's table at a time, however many ask
}

var _ control.Desk = (*desk)(nil)

func (d *desk) Watch(kinds ...control.Kind) (*control.Watcher, error) { return d.gate.watch(kinds) }

func (d *desk) Status() (*control.Status, error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	return d.gate.lookAround()
}

// Reload has the daemon's own goroutine reload.
func (d *desk) Reload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case d.gate.reloads <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		if err != nil {
			return &control.Error{Code: http.StatusUnprocessableEntity, Text: err.Error()}
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Open lets all of a prefix in, as knocks from everywhere in it would.
func (d *desk) Open(name string, source netip.Prefix, timeout time.Duration) (*control.Result, error) {
	g := d.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	door, err := g.door(name)
	if err != nil {
		return nil, err
	}
	parts, err := partsOf(door, source)
	if err != nil {
		return nil, err
	}
	if timeout == 0 {
		timeout = door.OpenTimeout
	}
	result := &control.Result{Door: name}
	for _, part := range parts {
		e := knock.Event{Action: knock.Grant, Door: door, Source: part.Addr()}
		g.damage.supersede(e)
		done, err := g.carryOut(e, timeout, control.ByHand)
		if err != nil {
			return nil, err
		}
		result.Sources, result.Until = append(result.Sources, done.Source), done.Until
	}
	return result, nil
}

// Close puts out those who are in, from a prefix or from everywhere.
func (d *desk) Close(name string, source netip.Prefix) (*control.Result, error) {
	g := d.gate
	g.mu.Lock()
	_, err := g.door(name)
	table := g.cfg.Table
	g.damage.withdraw(name, source)
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	d.looking.Lock()
	snapshot, err := g.inspect(table)
	d.looking.Unlock()
	if err != nil {
		return nil, err
	}
	result := &control.Result{Door: name, Sources: []string{}}
	for _, p := range snapshot.People {
		if p.Door != name || source.IsValid() && !source.Overlaps(p.Source) {
			continue
		}
		done, err := g.putOut(p)
		if err != nil {
			return nil, err
		}
		result.Sources = append(result.Sources, done.Source)
	}
	return result, nil
}

// putOut takes the lock for one person at a time: packets do not wait for all of them.
func (g *gate) putOut(p nft.Person) (control.Event, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	door, err := g.door(p.Door)
	if err != nil { // a reload has taken it away
		return control.Event{}, err
	}
	return g.carryOut(knock.Event{Action: knock.Revoke, Door: door, Source: p.Source.Addr()}, 0, control.ByHand)
}

// door returns the door of that name. The lock is held.
func (g *gate) door(name string) (*knock.Door, error) {
	if door := findDoor(g.cfg, name); door != nil {
		return door, nil
	}
	text := fmt.Sprintf("no door is named %q: ", name)
	switch names := doorNames(g.cfg); len(names) {
	case 0:
		text += "none is configured"
	case 1:
		text += "there is " + names[0]
	default:
		text += "there are " + strings.Join(names, ", ")
	}
	return nil, &control.Error{Code: http.StatusNotFound, Text: text}
}
