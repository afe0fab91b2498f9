package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// state is what the kernel has under the table's name.
type state struct {
	flags  uint32 // the table's
	chains map[string]*nftables.Chain
	sets   map[string]*nftables.Set

	objects    map[string]nftables.ObjType
	flowtables []*nftables.Flowtable // none of ours
}

// readState returns what the kernel has, or nil if there is no such table.
func readState(c *nftables.Conn, table *nftables.Table) (*state, error) {
	tables, err := c.ListTablesOfFamily(table.Family)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == table.Name })
	if i < 0 {
		return nil, nil
	}
	s := &state{flags: flagsOf(tables[i]), chains: make(map[string]*nftables.Chain), sets: make(map[string]*nftables.Set)}
	chains, err := c.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return nil, err
	}
	for _, chain := range chains {
		if chain.Table.Name == table.Name {
			s.chains[chain.Name] = chain
		}
	}
	sets, err := c.GetSets(table)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		s.sets[set.Name] = set
	}
	if s.flowtables, err = c.ListFlowtables(table); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, err
	}
	s.objects = make(map[string]nftables.ObjType)
	objects, err := c.GetNamedObjects(table)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o, ok := o.(*nftables.NamedObj); ok && o.Table.Name == table.Name {
			s.objects[o.Name] = o.Type
		}
	}
	return s, nil
}

// ours says whether the table looks like one that Open has made. An empty one
// may be taken: nothing of anybody's is lost.
func (s *state) ours() bool {
	if len(s.chains) == 0 && len(s.sets) == 0 {
		return true
	}
	return s.chains["gate"] != nil && s.sets["always_allow4"] != nil
}

// checkAvailable returns an error if the table of that name is another's, or belongs to a process.
func (s *state) checkAvailable(name string) error {
	switch {
	case s.flags&tableOwner != 0:
		return &OwnedError{name}
	case !s.ours():
		return &NotOursError{name}
	}
	return nil
}

// readElements returns what a set holds, its intervals put together again.
//
// The library trusts the lengths in the comments of elements, which whoever may
// change the table may write; a panic of its becomes an error here.
func readElements(c *nftables.Conn, set *nftables.Set) (elements []nftables.SetElement, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("set %s: an element that cannot be read: %v", set.Name, p)
		}
	}()
	elements, err = c.GetSetElements(set)
	if err != nil || !set.Interval {
		return elements, err
	}
	return joinIntervals(elements), nil
}

// joinIntervals puts each interval's first key and the first key after it, two
// elements in the kernel, together: the latter becomes KeyEnd.
func joinIntervals(halves []nftables.SetElement) []nftables.SetElement {
	slices.SortFunc(halves, func(a, b nftables.SetElement) int {
		if order := bytes.Compare(a.Key, b.Key); order != 0 || a.IntervalEnd == b.IntervalEnd {
			return order
		}
		if a.IntervalEnd { // where one interval ends another may begin
			return -1
		}
		return 1
	})
	var joined []nftables.SetElement
	for i, h := range halves {
		if h.IntervalEnd {
			continue
		}
		if i+1 < len(halves) && halves[i+1].IntervalEnd {
			h.KeyEnd = halves[i+1].Key
		}
		joined = append(joined, h)
	}
	return joined
}

// verdictChain returns the chain that an element of a verdict map goes to, from
// the attributes that the library leaves undecoded.
func verdictChain(e nftables.SetElement) string {
	const chainAttribute = 2 // NFTA_VERDICT_CHAIN
	attributes, err := netlink.UnmarshalAttributes(e.Val)
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if a.Type == chainAttribute {
			return unix.ByteSliceToString(a.Data)
		}
	}
	return ""
}
