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
	"github.com/google/nftables/userdata"

	"nftknock/knock"
)

// A Snapshot is what the kernel holds under a table's name, whoever has put it
// there and whether or not a daemon runs.
type Snapshot struct {
	Owned  bool // by a process, at this moment
	Doors  []string
	People []Person // by door and source
	Guards []Guard  // by protocol and port
}

// A Guard is what has become of the packets to a guarded port that are no part
// of a connection, since the table was installed or last changed.
type Guard struct {
	Port  knock.Port
	LetIn map[string]uint64 // packets, by the door that let them in
	Shut  uint64            // packets that no door let in
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
	s := &Snapshot{Owned: state.flags&tableOwner != 0}
	for _, name := range slices.Sorted(maps.Keys(state.sets)) {
		if !isOpenSet(state.sets[name]) {
			continue
		}
		if door := doorOf(name); !slices.Contains(s.Doors, door) {
			s.Doors = append(s.Doors, door)
		}
		people, err := peopleIn(c, state.sets[name])
		if err != nil {
			return nil, explainRead(err)
		}
		s.People = append(s.People, people...)
	}
	slices.SortFunc(s.People, func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.Door, b.Door), a.Source.Compare(b.Source))
	})
	for name := range state.chains {
		port, ok := portOf(name)
		if !ok {
			continue
		}
		guard, err := readGuard(c, t, name, port)
		if err != nil {
			return nil, explainRead(err)
		}
		s.Guards = append(s.Guards, guard)
	}
	slices.SortFunc(s.Guards, func(a, b Guard) int {
		return cmp.Or(cmp.Compare(a.Port.Proto, b.Port.Proto), cmp.Compare(a.Port.Number, b.Port.Number))
	})
	return s, nil
}

func isOpenSet(s *nftables.Set) bool {
	return s.HasTimeout && !s.Dynamic &&
		(strings.HasSuffix(s.Name, openSet("", ipv4)) || strings.HasSuffix(s.Name, openSet("", ipv6)))
}

// portOf returns the port that a chain of addGuard decides about.
func portOf(chain string) (knock.Port, bool) {
	proto, number, _ := strings.Cut(chain, "_")
	port, err := knock.ParsePort(number + ":" + proto)
	return port, err == nil
}

// readGuard reads the counters of a port's chain. The library's panics become errors,
// as in readElements.
func readGuard(c *nftables.Conn, t *nftables.Table, chain string, port knock.Port) (g Guard, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("chain %s: a rule that cannot be read: %v", chain, p)
		}
	}()
	g = Guard{Port: port, LetIn: make(map[string]uint64)}
	rules, err := c.GetRules(t, &nftables.Chain{Name: chain})
	if err != nil {
		return g, err
	}
	for _, r := range rules {
		comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		packets := packetsOf(r)
		if rest, ok := strings.CutSuffix(comment, letInComment); ok {
			g.LetIn[strings.TrimPrefix(rest, "door ")] += packets
		} else if strings.HasSuffix(comment, shutComment) {
			g.Shut += packets
		}
	}
	return g, nil
}

func packetsOf(r *nftables.Rule) uint64 {
	for _, e := range r.Exprs {
		if counter, ok := e.(*expr.Counter); ok {
			return counter.Packets
		}
	}
	return 0
}
