package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// A Grant is that a door lets a source in.
type Grant struct {
	Door   string
	Source netip.Prefix
	Zone   string        // the interface of a link-local source
	Left   time.Duration // how much longer, to the millisecond; knock.Forever without end
	Since  time.Time     // of one that was read; zero if it has no end: the kernel does not say
	By     string        // what has granted it: the element's comment
}

// A door's grants are in five sets. Those as wide as a knock's are in open4 and open6, which
// hold prefixes of one length, so that none contains another: a knock always finds and renews its own.
// Wider ones are in wide4 and wide6. Those of link-local sources are in link6.

// openSet returns the name of the set of those whom a door lets in.
func openSet(door string, f family) string { return door + openSuffix + f.suffix }

// wideSet returns the name of the set of the wide prefixes that a door lets in.
func wideSet(door string, f family) string { return door + wideSuffix + f.suffix }

// linkSet returns the name of the set of the link-local sources that a door lets in.
func linkSet(door string) string { return door + linkSuffix }

// What the names of grants' sets end in, but for the family. No other set's name ends so, and no
// ending is another's end: no door's name makes two sets of one name.
const (
	openSuffix = "_open"
	wideSuffix = "_wide"
	linkSuffix = "_link6"
)

// cutGrantSuffix returns the door of a set of grants.
func cutGrantSuffix(set string) (door string, ok bool) {
	for _, suffix := range []string{openSuffix + ipv4.suffix, openSuffix + ipv6.suffix, wideSuffix + ipv4.suffix, wideSuffix + ipv6.suffix, linkSuffix} {
		if door, ok = strings.CutSuffix(set, suffix); ok {
			return door, true
		}
	}
	return "", false
}

// addGrantSets adds the sets of those whom a door lets in.
func (r *Ruleset) addGrantSets(d *knock.Door) {
	who, prefixes := fmt.Sprintf("door %s: who is let in", d.Name), fmt.Sprintf("door %s: prefixes that are let in", d.Name)
	if len(d.Ports) == 0 { // no rule asks for it
		who, prefixes = fmt.Sprintf("trigger %s: who has knocked", d.Name), fmt.Sprintf("trigger %s: prefixes", d.Name)
	}
	for _, f := range families {
		r.addSet(&set{
			name: openSet(d.Name, f), comment: who,
			keyType: f.keyType, timeout: true, interval: prefixLen(d, f) < f.bits,
		})
	}
	for _, f := range families {
		r.addSet(&set{
			name: wideSet(d.Name, f), comment: prefixes,
			keyType: f.keyType, timeout: true, interval: true,
		})
	}
	r.addSet(&set{
		name: linkSet(d.Name), comment: who + " on a link", keyType: linkKeyType, timeout: true,
	})
}

// A held is a grant as a set holds it.
type held struct {
	Grant
	set      string
	interval bool
	wide     bool
}

// hold returns a grant as the sets hold it. A source that is narrower than what the
// door lets in with a knock is widened to that; a link-local one, which has a zone, is let in alone.
func (r *Ruleset) hold(g Grant) (held, error) {
	d := r.doors[g.Door]
	if d == nil {
		return held{}, fmt.Errorf("no door is named %q", g.Door)
	}
	addr := g.Source.Addr()
	if g.Zone != "" || isLinkLocal(addr) {
		switch {
		case !isLinkLocal(addr) || !g.Source.IsSingleIP():
			return held{}, fmt.Errorf("%v: want a single link-local address and its interface, such as fe80::1%%eth0", g.Source)
		case g.Zone == "":
			return held{}, fmt.Errorf("%v means another host on each link: want %[1]v%%INTERFACE", addr)
		}
		return held{g, linkSet(g.Door), false, false}, nil
	}
	f := familyOf(addr)
	bits := prefixLen(d, f)
	if g.Source.Bits() < 0 {
		return held{}, fmt.Errorf("%v is no source", g.Source)
	}
	if g.Source.Bits() < bits {
		g.Source = g.Source.Masked()
		return held{g, wideSet(g.Door, f), true, true}, nil
	}
	g.Source = netip.PrefixFrom(addr, bits).Masked()
	return held{g, openSet(g.Door, f), bits < f.bits, false}, nil
}

// elements returns a grant's elements. Their comments and times are the first one's.
func (h held) elements() []nftables.SetElement {
	var elements []nftables.SetElement
	if h.Zone != "" {
		elements = []nftables.SetElement{{Key: linkKey(h.Source.Addr().WithZone(h.Zone))}}
	} else {
		e := prefixElement(h.Source)
		if !h.interval {
			e.end = nil
		}
		elements = e.kernel()
	}
	elements[0].Comment = h.By
	if h.Left != knock.Forever {
		elements[0].Timeout = h.Left
	}
	return elements
}

// Grant lets sources in, each for the time left, counted from now, of at least a millisecond: all in one
// transaction. A wide prefix takes the place of those within it, and cannot be granted
// within another: [Table.Overlapping] tells. Wide ones are granted one at a time. Of grants of the same
// source the last one counts.
func (t *Table) Grant(grants ...Grant) error {
	u := newElementUpdate(t.table.Name)
	fresh, err := t.rules.holdAll(grants)
	if err != nil {
		return err
	}
	var replaced []held
	for _, h := range fresh {
		if !h.wide {
			continue
		}
		others, err := t.Overlapping(h.Grant)
		if err != nil {
			return err
		}
		for _, other := range others {
			if other.Source != h.Source && h.Source.Contains(other.Source.Addr()) {
				o := h
				o.Grant = other
				replaced = append(replaced, o)
			}
		}
	}
	for set, elements := range bySet(replaced) {
		u.remove(set, elements)
	}
	for set, elements := range bySet(fresh) {
		if slices.ContainsFunc(replaced, func(h held) bool { return h.set == set }) {
			// What takes the place of others is new, and in the transaction that removes them the
			// kernel does not find it again, to be removed (nft_rbtree_deactivate).
			u.change(unix.NFT_MSG_NEWSETELEM, set, elements)
		} else {
			u.renew(set, elements)
		}
	}
	if err := send(t.socket, u.end()); err != nil {
		return err
	}
	for _, h := range replaced {
		t.grants.remove(h.Grant)
	}
	if !t.owned {
		for _, h := range fresh {
			t.grants.add(h.Grant)
		}
	}
	return nil
}

// Revoke ends grants, all in one transaction. One that there is not is none.
func (t *Table) Revoke(grants ...Grant) error {
	over, err := t.rules.holdAll(grants)
	if err != nil {
		return err
	}
	// Removing adds first, which fails if it overlaps with another one.
	over = slices.DeleteFunc(over, func(h held) bool {
		if !h.wide || err != nil {
			return false
		}
		var others []Grant
		others, err = t.Overlapping(h.Grant)
		return !slices.ContainsFunc(others, func(other Grant) bool { return other.Source == h.Source })
	})
	if err != nil || len(over) == 0 {
		return err
	}
	u := newElementUpdate(t.table.Name)
	for set, elements := range bySet(over) {
		u.remove(set, elements)
	}
	if err := send(t.socket, u.end()); err != nil {
		return err
	}
	for _, h := range over {
		t.grants.remove(h.Grant)
	}
	return nil
}

// Overlapping returns the grants of wide prefixes that a wide one overlaps with, itself among them; of
// one that is no wider than a knock's there are none.
func (t *Table) Overlapping(g Grant) ([]Grant, error) {
	h, err := t.rules.hold(g)
	if err != nil || !h.wide {
		return nil, err
	}
	all, err := grantsIn(t.query, t.rules.setNamed(h.set).kernel(t.table))
	if err != nil {
		return nil, explainRead(err)
	}
	return slices.DeleteFunc(all, func(other Grant) bool { return !other.Source.Overlaps(h.Source) }), nil
}

func (r *Ruleset) setNamed(name string) *set {
	return r.sets[slices.IndexFunc(r.sets, func(s *set) bool { return s.name == name })]
}

// holdAll is hold for several grants, of which the last one of each source counts.
func (r *Ruleset) holdAll(grants []Grant) ([]held, error) {
	all := make([]held, 0, len(grants))
	var at map[grantKey]int
	if len(grants) > 1 {
		at = make(map[grantKey]int, len(grants))
	}
	for _, g := range grants {
		h, err := r.hold(g)
		if err != nil {
			return nil, err
		}
		if i, ok := at[h.key()]; ok {
			all[i] = h
			continue
		}
		if at != nil {
			at[h.key()] = len(all)
		}
		all = append(all, h)
	}
	return all, nil
}

// bySet ranges over the elements of grants, by the sets that they are in.
func bySet(grants []held) func(yield func(set string, elements []nftables.SetElement) bool) {
	return func(yield func(string, []nftables.SetElement) bool) {
		for len(grants) > 0 {
			set := grants[0].set
			var elements []nftables.SetElement
			var others []held
			for _, h := range grants {
				if h.set == set {
					elements = append(elements, h.elements()...)
				} else {
					others = append(others, h)
				}
			}
			if !yield(set, elements) {
				return
			}
			grants = others
		}
	}
}

// Grants returns who is let in, through which door, and for how long.
func (t *Table) Grants() ([]Grant, error) {
	var grants []Grant
	for _, s := range t.rules.sets {
		if !s.timeout {
			continue
		}
		in, err := grantsIn(t.query, s.kernel(t.table))
		if err != nil {
			return nil, err
		}
		grants = append(grants, in...)
	}
	return grants, nil
}

// grantsIn returns what a door's set holds.
func grantsIn(c *nftables.Conn, set *nftables.Set) ([]Grant, error) {
	elements, err := readElements(c, set)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var grants []Grant
	for _, e := range elements {
		g := grantOf(set.Name, e, set.Interval)
		g.Left = knock.Forever
		if !g.Source.IsValid() {
			continue // in a set that somebody else has made
		}
		if e.Timeout != 0 {
			g.Left, g.Since = e.Expires, now.Add(e.Expires-e.Timeout)
		}
		grants = append(grants, g)
	}
	return grants, nil
}

// grantOf returns the grant that an element of a door's set is.
func grantOf(set string, e nftables.SetElement, interval bool) Grant {
	door, _ := cutGrantSuffix(set)
	g := Grant{Door: door, By: e.Comment}
	if source := linkSource(e.Key); source.IsValid() {
		g.Source, g.Zone = netip.PrefixFrom(source, ipv6.bits), source.Zone()
	} else {
		g.Source = prefixOf(e, interval)
	}
	return g
}

// prefixOf returns the longest prefix that holds an element: the element
// itself, unless somebody has put an interval there that is no prefix.
func prefixOf(e nftables.SetElement, interval bool) netip.Prefix {
	first, ok := netip.AddrFromSlice(e.Key)
	if !ok {
		return netip.Prefix{}
	}
	p := netip.PrefixFrom(first, first.BitLen())
	if !interval {
		return p
	}
	last := lastOf(netip.PrefixFrom(first, 0))
	if end, ok := netip.AddrFromSlice(e.KeyEnd); ok && end.BitLen() == first.BitLen() {
		last = end.Prev()
	}
	for lastOf(p).Less(last) {
		p = netip.PrefixFrom(first, p.Bits()-1).Masked()
	}
	return p
}
