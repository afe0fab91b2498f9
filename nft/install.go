package nft

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// elementsPerMessage keeps a message's list of elements within the 64 KiB that a
// netlink attribute can be long; the library does not notice a longer one.
const elementsPerMessage = 256

// A transaction gathers the messages that turn what the kernel has into a
// ruleset. Its order is that of the kernel's rules for references: what is
// referred to is there first and goes last.
type transaction struct {
	table *nftables.Table
	rules *Ruleset
	was   *state         // nil if the table is new
	own   bool           // the table is to be owned
	query *nftables.Conn // to read what sets hold

	conn *nftables.Conn // takes the messages

	grants  *grantCache     // who is let in through sets that are new
	flows   flowList        // what is up
	foreign []foreignChange // to what is up, to be undone
}

func (tx *transaction) build(c *nftables.Conn) error {
	tx.conn = c
	if tx.was == nil || tx.own || tx.was.flags&tableDormant != 0 {
		tx.conn.AddTable(tx.table)
	}
	if tx.was != nil {
		tx.conn.FlushTable(tx.table) // all rules
		for _, f := range tx.was.flowtables {
			tx.conn.DelFlowtable(f)
		}
	}
	tx.addChains()
	tx.addCounters()
	if err := tx.changeSets(); err != nil {
		return err
	}
	tx.addRules()
	tx.dropChains()
	tx.dropCounters()
	return nil
}

func (tx *transaction) counter(name string) *nftables.NamedObj {
	return &nftables.NamedObj{Table: tx.table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}}
}

// addCounters adds the counters that are not there: what the others have counted stays.
func (tx *transaction) addCounters() {
	for _, name := range tx.rules.counters {
		if tx.was == nil || tx.was.objects[name] != nftables.ObjTypeCounter {
			tx.conn.AddObj(tx.counter(name))
		}
	}
}

func (tx *transaction) dropCounters() {
	if tx.was == nil {
		return
	}
	for name, kind := range tx.was.objects {
		if kind != nftables.ObjTypeCounter || !slices.Contains(tx.rules.counters, name) {
			o := tx.counter(name)
			o.Type = kind
			tx.conn.DeleteObject(o)
		}
	}
}

// addChains adds the chains that are not there. A hook and its priority cannot be changed, so a chain that
// has the wrong ones goes, and another takes its place.
func (tx *transaction) addChains() {
	policy := nftables.ChainPolicyAccept
	for _, c := range tx.rules.chains {
		k := &nftables.Chain{Name: c.name, Table: tx.table}
		if c.hook != nil {
			k.Type, k.Policy = nftables.ChainTypeFilter, &policy
			k.Hooknum, k.Priority = c.hook.number, c.hook.priority.number
		}
		var old *nftables.Chain
		if tx.was != nil {
			old = tx.was.chains[c.name]
		}
		if old != nil && !sameHook(k, old) {
			tx.conn.DelChain(old)
			old = nil
		}
		if old == nil || !equal(k.Policy, old.Policy) {
			tx.conn.AddChain(k)
		}
	}
}

func sameHook(a, b *nftables.Chain) bool {
	return a.Type == b.Type && equal(a.Hooknum, b.Hooknum) && equal(a.Priority, b.Priority)
}

// equal compares what may be absent.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (tx *transaction) dropChains() {
	if tx.was == nil {
		return
	}
	wanted := make(map[string]bool)
	for _, c := range tx.rules.chains {
		wanted[c.name] = true
	}
	for name := range tx.was.chains {
		if !wanted[name] {
			tx.conn.DelChain(&nftables.Chain{Name: name, Table: tx.table})
		}
	}
}

// changeSets keeps sets of the same type, with the grants in them, and changes those
// of their other elements that differ.
func (tx *transaction) changeSets() error {
	refitted, err := tx.refit()
	if err != nil {
		return err
	}
	wanted := make(map[string]bool)
	for _, s := range tx.rules.sets {
		wanted[s.name] = true
		var old *nftables.Set
		if tx.was != nil {
			old = tx.was.sets[s.name]
		}
		grants, refit := refitted[s.name]
		switch {
		case refit:
			if old != nil {
				tx.conn.DelSet(old)
			}
			err = tx.addSet(s, grants)
		case old == nil:
			err = tx.addSet(s, append(tx.grants.elements(tx.rules, s), tx.flows[s.name]...))
		default:
			err = tx.changeSet(s, old)
		}
		if err != nil {
			return err
		}
	}
	if tx.was == nil {
		return nil
	}
	for name, old := range tx.was.sets {
		if !wanted[name] {
			tx.conn.DelSet(old)
		}
	}
	return nil
}

func (tx *transaction) changeSet(s *set, old *nftables.Set) error {
	same := s.sameTypeAs(old)
	switch {
	case same && s.dynamic:
		if err := tx.undo(s); err != nil {
			return err
		}
		return tx.addElements(s.kernel(tx.table), tx.flows[s.name]) // those that are there already stay as they are
	case same && s.timeout:
		return nil
	}
	elements, err := readElements(tx.query, old)
	if err != nil {
		return err
	}
	if !same || s.interval && !sameElements(s.elements, elements) {
		// Where intervals changed, one may overlap another that was there: all anew.
		tx.conn.DelSet(old)
		return tx.addSet(s, tx.flows[s.name])
	}
	return tx.changeElements(s, old, elements)
}

// changeElements makes the elements of a set without intervals those of s, and
// does not touch those that stay.
func (tx *transaction) changeElements(s *set, old *nftables.Set, elements []nftables.SetElement) error {
	k := s.kernel(tx.table)
	k.ID = old.ID
	missing := make(map[string]element)
	for _, e := range s.elements {
		missing[string(e.from)] = e
	}
	var gone, added []nftables.SetElement
	for _, have := range elements {
		if e, ok := missing[string(have.Key)]; ok && e.equals(have) {
			delete(missing, string(have.Key))
		} else {
			gone = append(gone, nftables.SetElement{Key: have.Key})
		}
	}
	for _, e := range missing {
		added = append(added, e.kernel()...)
	}
	if err := inChunks(gone, func(c []nftables.SetElement) error { return tx.conn.SetDeleteElements(k, c) }); err != nil {
		return err
	}
	return inChunks(added, func(c []nftables.SetElement) error { return tx.conn.SetAddElements(k, c) })
}

// addSet adds a new set, with its own elements and those of grants or flows.
func (tx *transaction) addSet(s *set, elements []nftables.SetElement) error {
	k := s.kernel(tx.table)
	if err := tx.conn.AddSet(k, nil); err != nil {
		return err
	}
	for _, e := range s.elements {
		elements = append(elements, e.kernel()...)
	}
	return tx.addElements(k, elements)
}

func (tx *transaction) addElements(k *nftables.Set, elements []nftables.SetElement) error {
	return inChunks(elements, func(c []nftables.SetElement) error { return tx.conn.SetAddElements(k, c) })
}

// undo undoes what somebody else has done to a set of flows. An entry that is gone again is no
// matter, and no error: it is added before it is deleted.
func (tx *transaction) undo(s *set) error {
	k := s.kernel(tx.table)
	for _, c := range tx.foreign {
		if c.set != s.name {
			continue
		}
		timeout := time.Duration(beginTimeout)
		if c.deleted {
			timeout = quietTimeout // until something follows
		}
		elements := make([]nftables.SetElement, len(c.elements))
		for i, e := range c.elements {
			elements[i] = nftables.SetElement{Key: e.Key, Timeout: timeout}
		}
		if err := tx.addElements(k, elements); err != nil {
			return err
		}
		if c.deleted {
			continue
		}
		if err := inChunks(elements, func(c []nftables.SetElement) error { return tx.conn.SetDeleteElements(k, c) }); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) addRules() {
	for _, c := range tx.rules.chains {
		for _, r := range c.rules {
			var exprs []expr.Any
			for _, s := range r.statements {
				exprs = append(exprs, s.exprs...)
			}
			tx.conn.AddRule(&nftables.Rule{
				Table: tx.table, Chain: &nftables.Chain{Name: c.name}, Exprs: exprs,
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
			})
		}
	}
}

// kernel returns the element as the kernel has it: an interval is two.
func (e element) kernel() []nftables.SetElement {
	first := nftables.SetElement{Key: e.from, Val: e.data}
	if e.to != "" {
		first.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: e.to}
	}
	if e.end == nil {
		return []nftables.SetElement{first}
	}
	return []nftables.SetElement{first, {Key: e.end, IntervalEnd: true}}
}

// equals says whether an element in the kernel is this one.
func (e element) equals(k nftables.SetElement) bool {
	if e.data != nil {
		return bytes.Equal(e.from, k.Key) && bytes.Equal(e.data, k.Val)
	}
	return bytes.Equal(e.from, k.Key) && bytes.Equal(e.end, k.KeyEnd) && e.to == verdictChain(k)
}

// sameElements says whether the kernel has just the wanted intervals, which
// are few: it compares all with all.
func sameElements(wanted []element, have []nftables.SetElement) bool {
	return len(wanted) == len(have) && !slices.ContainsFunc(have, func(k nftables.SetElement) bool {
		return !slices.ContainsFunc(wanted, func(e element) bool { return e.equals(k) })
	})
}

func inChunks(elements []nftables.SetElement, send func([]nftables.SetElement) error) error {
	for len(elements) > 0 {
		n := min(len(elements), elementsPerMessage)
		if err := send(elements[:n]); err != nil {
			return fmt.Errorf("set elements: %w", err)
		}
		elements = elements[n:]
	}
	return nil
}

// leastTimeout is the shortest there is: the kernel takes a shorter one for none at all.
const leastTimeout = time.Millisecond

// remaining returns how long an element has left, as the timeout of a new one.
func remaining(e nftables.SetElement) time.Duration {
	if e.Timeout == 0 {
		return 0
	}
	return max(e.Expires, leastTimeout)
}
