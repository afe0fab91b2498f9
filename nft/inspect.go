package nft

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/knock"
)

// A Snapshot is what the kernel holds under a table's name, whoever has put it
// there and whether or not a daemon runs.
type Snapshot struct {
	Owned  bool // by a process, at this moment
	Doors  []string
	Grants []Grant // by door and source
	Guards []Guard // by protocol and port

	Granted map[string]uint64 // connections and flows that each door has let in
}

// A Guard is a guarded port.
type Guard struct {
	Port  knock.Port
	Doors []string // that guard it
	Shut  uint64   // packets that none of them let in
}

// ErrNoTable says that nothing is guarded.
var ErrNoTable = errors.New("there is no such table")

// Inspect reads the table of that name in this network namespace. It changes
// nothing, and does not need the table's owner. The error is [ErrNoTable], or a
// [NotOursError], or the kernel's.
func Inspect(table string) (*Snapshot, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	state, err := readState(c, t)
	switch {
	case err != nil:
		return nil, explainRead(err)
	case state == nil:
		return nil, ErrNoTable
	case !state.ours():
		return nil, &NotOursError{table}
	}
	s := &Snapshot{Owned: state.flags&tableOwner != 0, Granted: make(map[string]uint64)}
	counted, err := readCounters(c, t)
	if err != nil {
		return nil, explainRead(err)
	}
	for _, name := range slices.Sorted(maps.Keys(state.sets)) {
		door, ok := cutGrantSuffix(name)
		if set := state.sets[name]; !ok || !set.HasTimeout || set.Dynamic {
			continue
		}
		if !slices.Contains(s.Doors, door) {
			s.Doors = append(s.Doors, door)
			s.Granted[door] = counted[grantedCounter(door)]
		}
		grants, err := grantsIn(c, state.sets[name])
		if err != nil {
			return nil, explainRead(err)
		}
		s.Grants = append(s.Grants, grants...)
	}
	slices.SortFunc(s.Grants, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Door, b.Door), a.Source.Compare(b.Source), cmp.Compare(a.Zone, b.Zone))
	})
	for name := range state.chains {
		port, ok := portOf(name)
		if !ok {
			continue
		}
		doors, err := readGuard(c, t, name)
		if err != nil {
			return nil, explainRead(err)
		}
		s.Guards = append(s.Guards, Guard{Port: port, Doors: doors, Shut: counted[shutCounter(port)]})
	}
	slices.SortFunc(s.Guards, func(a, b Guard) int {
		return cmp.Or(cmp.Compare(a.Port.Proto, b.Port.Proto), cmp.Compare(a.Port.Number, b.Port.Number))
	})
	return s, nil
}

// portOf returns the port that a chain of addGuard decides about.
func portOf(chain string) (knock.Port, bool) {
	proto, number, _ := strings.Cut(chain, "_")
	port, err := knock.ParsePort(number + ":" + proto)
	return port, err == nil
}

// readCounters returns what the table's counters have counted, in packets. The library's
// panics become errors, as in readElements.
func readCounters(c *nftables.Conn, t *nftables.Table) (packets map[string]uint64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a counter that cannot be read: %v", p)
		}
	}()
	objects, err := c.GetNamedObjects(t)
	if err != nil {
		return nil, err
	}
	packets = make(map[string]uint64)
	for _, o := range objects {
		if o, ok := o.(*nftables.NamedObj); ok {
			if counter, ok := o.Obj.(*expr.Counter); ok {
				packets[o.Name] = counter.Packets
			}
		}
	}
	return packets, nil
}

// readGuard returns the doors that a port's chain leads to. The library's panics become errors,
// as in readElements.
func readGuard(c *nftables.Conn, t *nftables.Table, chain string) (doors []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("chain %s: a rule that cannot be read: %v", chain, p)
		}
	}()
	rules, err := c.GetRules(t, &nftables.Chain{Name: chain})
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			v, ok := e.(*expr.Verdict)
			if !ok {
				continue
			}
			if door, ok := strings.CutPrefix(v.Chain, doorChain("")); ok && !slices.Contains(doors, door) {
				doors = append(doors, door)
			}
		}
	}
	return doors, nil
}
