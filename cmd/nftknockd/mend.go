package main

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/control"
	"nftknock/knock"
)

// damage is what the daemon has decided and the kernel does not hold.
type damage struct {
	deaf    error // why the log is not being read
	table   error // why the table is not as it should be
	pending []knock.Event
	refused error // why the pending events could not be acted on
}

// maxPending bounds what waits for a kernel that refuses everything. The oldest
// goes first: its door would be open for the shortest time.
const maxPending = 1024

func (d *damage) add(e knock.Event, err error) {
	d.supersede(e)
	if len(d.pending) == maxPending {
		d.pending = d.pending[1:]
	}
	d.pending = append(d.pending, e)
	d.refused = err
}

// supersede drops what was decided before about the same source and door.
func (d *damage) supersede(e knock.Event) {
	d.pending = slices.DeleteFunc(d.pending, func(old knock.Event) bool {
		return old.Door.Name == e.Door.Name && old.Source == e.Source
	})
	d.settle()
}

// withdraw drops the letting in of sources within a prefix; of all if it is not valid.
func (d *damage) withdraw(door string, sources netip.Prefix) {
	d.pending = slices.DeleteFunc(d.pending, func(e knock.Event) bool {
		return e.Door.Name == door && e.Action == knock.Grant && (!sources.IsValid() || sources.Contains(e.Source))
	})
	d.settle()
}

// settle forgets the error when nothing is pending.
func (d *damage) settle() {
	if len(d.pending) == 0 {
		d.refused = nil
	}
}

// forgetAllBut drops what concerns doors that are no more.
func (d *damage) forgetAllBut(doors []knock.Door) {
	d.pending = slices.DeleteFunc(d.pending, func(e knock.Event) bool {
		return !slices.ContainsFunc(doors, func(door knock.Door) bool { return door.Name == e.Door.Name })
	})
	d.settle()
}

// err returns nil if there is no damage.
func (d *damage) err() error { return errors.Join(d.deaf, d.table, d.refused) }

// retryAfter is how long after a failed attempt to mend the next one is made.
const retryAfter = 100 * time.Millisecond

// report notes damage that was found outside of observe.
func (g *gate) report(found damage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if found.deaf != nil {
		g.damage.deaf = found.deaf
	}
	if found.table != nil {
		g.damage.table = found.table
	}
}

// poke has run come to a channel, once for several pokes.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// mend tries to put right what is amiss, and comes back to what it could not. It
// tells the service manager when it begins and when all is well again.
func (g *gate) mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.damage.err()
	if before == nil {
		return
	}
	g.mendLog()
	g.mendTable()
	g.mendPending()

	after := g.damage.err()
	switch {
	case after == nil:
		g.log.Warn("put right", "was", before)
		g.publish(control.Event{Kind: control.Mended, Text: before.Error()})
	case !g.damaged:
		g.log.Error("amiss", "error", after)
		g.publish(control.Event{Kind: control.Amiss, Text: after.Error()})
	}
	g.damaged = after != nil
	if g.damaged {
		time.AfterFunc(retryAfter, func() { poke(g.amiss) })
	}
	g.tell(g.status())
}

func (g *gate) mendLog() {
	if g.damage.deaf == nil {
		return
	}
	listener, err := g.listen(g.cfg.NFLogGroup)
	if err != nil {
		g.damage.deaf = err
		return
	}
	g.listener.Close()
	g.listener = listener
	g.damage.deaf = nil
}

func (g *gate) mendTable() {
	if g.damage.table != nil {
		g.damage.table = g.table.Restore()
	}
}

func (g *gate) mendPending() {
	pending := g.damage.pending
	g.damage.pending, g.damage.refused = nil, nil
	for _, e := range pending {
		if err := g.act(e); err != nil {
			g.damage.add(e, err)
		}
	}
}
