package nft

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"nftknock/knock"
)

// refit returns the elements of those sets of grants that have to be made anew: because a door's prefix has
// changed, or because somebody else has put there what does not belong there.
func (tx *transaction) refit() (map[string][]nftables.SetElement, error) {
	refitted := make(map[string][]nftables.SetElement)
	if tx.was == nil {
		return refitted, nil
	}
	for _, name := range slices.Sorted(maps.Keys(tx.rules.doors)) {
		for _, f := range families {
			open, wide := openSet(name, f), wideSet(name, f)
			fit, err := tx.fit(open, wide)
			if err != nil {
				return nil, err
			}
			if fit {
				continue
			}
			grants, err := tx.grantsIn(open, wide)
			if err != nil {
				return nil, err
			}
			refitted[open], refitted[wide] = nil, nil
			for _, h := range tx.rules.merge(grants) {
				refitted[h.set] = append(refitted[h.set], h.elements()...)
			}
		}
	}
	return refitted, nil
}

// fit reports whether what the kernel has in sets of grants can stay there.
func (tx *transaction) fit(sets ...string) (bool, error) {
	for _, name := range sets {
		old, s := tx.was.sets[name], tx.rules.setNamed(name)
		switch {
		case old == nil:
			continue
		case !s.sameTypeAs(old):
			return false, nil
		case !s.interval:
			continue // single addresses
		}
		grants, err := tx.grantsIn(name)
		if err != nil {
			return false, err
		}
		for _, g := range grants {
			if h, err := tx.rules.hold(g); err != nil || h.set != name || h.Source != g.Source {
				return false, nil
			}
		}
	}
	return true, nil
}

// grantsIn returns what the kernel has in sets, of those that are there.
func (tx *transaction) grantsIn(sets ...string) ([]Grant, error) {
	var grants []Grant
	for _, name := range sets {
		if old := tx.was.sets[name]; old != nil {
			in, err := grantsIn(tx.query, old)
			if err != nil {
				return nil, err
			}
			grants = append(grants, in...)
		}
	}
	return grants, nil
}

// merge returns grants as the sets hold them. Of those that fall together the one that lasts longer
// counts, and a wide prefix within another one goes.
func (r *Ruleset) merge(grants []Grant) []held {
	var merged []held
	at := make(map[netip.Prefix]int)
	slices.SortStableFunc(grants, func(a, b Grant) int { return cmp.Compare(a.Source.Bits(), b.Source.Bits()) })
	var wide []netip.Prefix // none within another one
	for _, g := range grants {
		if g.Left != knock.Forever {
			g.Left = max(g.Left, leastTimeout)
		}
		h, err := r.hold(g)
		if err != nil {
			continue // what somebody else has put there
		}
		if i, ok := at[h.Source]; ok {
			if lastsLonger(h.Grant, merged[i].Grant) {
				merged[i] = h
			}
			continue
		}
		if h.wide {
			if slices.ContainsFunc(wide, func(p netip.Prefix) bool { return p.Overlaps(h.Source) }) {
				continue
			}
			wide = append(wide, h.Source)
		}
		at[h.Source] = len(merged)
		merged = append(merged, h)
	}
	return merged
}

func lastsLonger(a, b Grant) bool {
	return b.Left != knock.Forever && (a.Left == knock.Forever || a.Left > b.Left)
}
