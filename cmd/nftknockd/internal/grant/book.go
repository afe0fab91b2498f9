package grant

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/nft"
)

// A Table holds what is granted, as [nft.Table] does.
type Table interface {
	Grant(...nft.Grant) error
	Revoke(...nft.Grant) error
	Overlapping(nft.Grant) ([]nft.Grant, error)
}

// A Book carries out what is decided, and keeps what the kernel has refused, to be tried again.
// It is not safe for concurrent use.
type Book struct {
	table    Table
	happened func(event.Event) // queues an event

	since   map[ID]time.Time // when the grants without an end began, which the kernel does not tell
	pending []Decision
	refused error // why the pending decisions could not be carried out
}

// NewBook returns a Book for a table.
func NewBook(table Table, happened func(event.Event)) *Book {
	return &Book{table: table, happened: happened, since: make(map[ID]time.Time)}
}

// Decide does what a knock asks for. If the kernel refuses, the decision is pending.
func (b *Book) Decide(d Decision, arrived time.Time) error {
	b.Supersede(d.ID())
	err := b.carryOut(d, arrived)
	if err != nil {
		b.add(d, err)
	}
	return err
}

// Refused returns why decisions are pending; nil: none is.
func (b *Book) Refused() error { return b.refused }

// Retry tries again to carry out what is pending.
func (b *Book) Retry() {
	pending := b.pending
	b.pending, b.refused = nil, nil
	for _, d := range pending {
		if err := b.carryOut(d, time.Time{}); err != nil {
			b.add(d, err)
		}
	}
}

// Since returns when the grants without an end began.
func (b *Book) Since() map[ID]time.Time { return maps.Clone(b.since) }

// KeepDoors forgets what concerns other doors than these, and notes that the kernel has ended
// the grants of those.
func (b *Book) KeepDoors(doors []string, ended []Grant) {
	b.drop(func(d Decision) bool { return !slices.Contains(doors, d.Door) })
	for _, g := range ended {
		b.ended(g)
	}
	maps.DeleteFunc(b.since, func(id ID, _ time.Time) bool { return !slices.Contains(doors, id.Door) })
}

// A Decision is a grant, or that it is revoked.
type Decision struct {
	Grant
	Revoke bool
}

// carryOut has the kernel hold a decision, and queues the event that says so. The packet
// that asked for it arrived at a time, which is zero if none did.
func (b *Book) carryOut(d Decision, arrived time.Time) error {
	if d.Revoke {
		return b.Revoke(d.Grant)
	}
	_, err := b.Apply(arrived, d.Grant)
	return err
}

// Apply grants, in one transaction, and returns what lets each source in: its grant, or one of a
// wider prefix that lasts longer.
func (b *Book) Apply(arrived time.Time, grants ...Grant) (in []Grant, err error) {
	var fresh []Grant
	var elements, within []nft.Grant
	for _, g := range grants {
		e, ok := g.Element()
		if !ok {
			continue
		}
		others, err := b.table.Overlapping(e)
		if err != nil {
			return nil, fmt.Errorf("cannot grant: %w", err)
		}
		covering, inside, err := Settle(e, others)
		if err != nil {
			return nil, err
		}
		if covering != nil {
			in = append(in, Of(*covering, time.Now()))
			continue
		}
		in, fresh, elements, within = append(in, g), append(fresh, g), append(elements, e), append(within, inside...)
	}
	if len(fresh) == 0 {
		return in, nil
	}
	if err := b.table.Grant(elements...); err != nil {
		return nil, fmt.Errorf("cannot grant: %w", err)
	}
	for _, e := range within {
		old := Of(e, time.Now())
		old.Origin, old.Key = fresh[0].Origin, fresh[0].Key
		b.ended(old)
	}
	for _, g := range fresh {
		b.began(g, arrived)
	}
	return in, nil
}

// began notes that the kernel has taken a grant.
func (b *Book) began(g Grant, arrived time.Time) {
	delete(b.since, g.ID())
	if g.Until.IsZero() {
		b.since[g.ID()] = time.Now()
	}
	e := event.Event{Kind: event.Granted, Door: g.Door, Source: g.Source(), By: string(g.Origin), Key: g.Key, Until: g.Until}
	if !arrived.IsZero() {
		e.Took = time.Since(arrived)
	}
	b.happened(e)
}

// Revoke ends grants, in one transaction. Their Origin is what revokes them.
func (b *Book) Revoke(grants ...Grant) error {
	elements := make([]nft.Grant, len(grants))
	for i, g := range grants {
		elements[i] = nft.Grant{Door: g.Door, Source: g.Prefix, Zone: g.Zone}
	}
	if err := b.table.Revoke(elements...); err != nil {
		return fmt.Errorf("cannot revoke: %w", err)
	}
	for _, g := range grants {
		b.ended(g)
	}
	return nil
}

// ended notes that the kernel has ended a grant.
func (b *Book) ended(g Grant) {
	delete(b.since, g.ID())
	b.happened(event.Event{Kind: event.Revoked, Door: g.Door, Source: g.Source(), By: string(g.Origin), Key: g.Key})
}

// maxPending bounds what waits for a kernel that refuses everything. The oldest decision
// goes first: its grant would end first.
const maxPending = 1024

func (b *Book) add(d Decision, err error) {
	b.Supersede(d.ID())
	if len(b.pending) == maxPending {
		b.pending = b.pending[1:]
	}
	b.pending = append(b.pending, d)
	b.refused = err
}

// Supersede drops an older decision about the same source and door.
func (b *Book) Supersede(key ID) {
	b.drop(func(d Decision) bool { return d.ID() == key })
}

// Withdraw drops the grants of a door within a prefix, or all of them if it is not valid.
func (b *Book) Withdraw(door string, sources netip.Prefix) {
	b.drop(func(d Decision) bool {
		return d.Door == door && !d.Revoke && (!sources.IsValid() || sources.Overlaps(d.Prefix))
	})
}

func (b *Book) drop(outdated func(Decision) bool) {
	b.pending = slices.DeleteFunc(b.pending, outdated)
	if len(b.pending) == 0 {
		b.refused = nil
	}
}
