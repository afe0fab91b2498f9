package knock

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func allFit(Port) Fitness { return Fit }

// between counts the decoys of a protocol above one port and below another.
func between(decoys []Port, proto Proto, below, above int) int {
	n := 0
	for _, d := range decoys {
		if d.Proto == proto && below < int(d.Number) && int(d.Number) < above {
			n++
		}
	}
	return n
}

func TestDecoysAreInEveryGap(t *testing.T) {
	withCode := door("code", "7000 50000", "50000 7100")
	withCode.CodeBase = 20000
	doors := []Door{
		door("ssh", "7000 7002 9000:udp 8000", ""),
		door("web", "60000 1100:udp 300", "300 65000"),
		withCode,
	}
	decoys := ChooseDecoys(doors, 1, []byte("secret"), allFit)
	for _, gap := range []struct {
		proto        Proto
		below, above int
	}{
		{TCP, 0, 7000}, {TCP, 7000, 7002}, {TCP, 7002, 8000}, {TCP, 8000, 65536},
		{TCP, 0, 300}, {TCP, 300, 60000}, {TCP, 60000, 65536}, {TCP, 300, 65000}, {TCP, 65000, 65536},
		{TCP, 7000, 20000}, {TCP, 21999, 50000}, {TCP, 50000, 65536}, {TCP, 7100, 50000},
		{UDP, 0, 9000}, {UDP, 9000, 65536}, {UDP, 0, 1100}, {UDP, 1100, 65536},
	} {
		if between(decoys, gap.proto, gap.below, gap.above) == 0 {
			t.Errorf("no decoy between %d and %d of %v: %v", gap.below, gap.above, gap.proto, decoys)
		}
	}
	if n := between(decoys, TCP, 19999, 22000); n != 0 {
		t.Errorf("%d decoys among the ports of codes: %v", n, decoys)
	}
}

func TestDecoys(t *testing.T) {
	doors := []Door{door("ssh", "7000 8000 9000", "")}
	guarded := doors[0].Ports
	choose := func(n int, secret string, fit func(Port) Fitness) []Port {
		return ChooseDecoys(doors, n, []byte(secret), fit)
	}
	decoys := choose(32, "secret", allFit)
	if len(decoys) != 32 || between(decoys, TCP, 0, 65536) != 32 {
		t.Errorf("want 32 of TCP, have %v", decoys)
	}
	if slices.ContainsFunc(decoys, func(p Port) bool { return slices.Contains(slices.Concat(guarded, doors[0].Sequence), p) }) {
		t.Errorf("knocks or guarded ports among %v", decoys)
	}
	if diff := cmp.Diff(decoys, choose(32, "secret", allFit)); diff != "" {
		t.Error("another choice the second time:", diff)
	}
	if slices.Equal(decoys, choose(32, "secrets", allFit)) {
		t.Error("another secret made the same choice")
	}
	if none := choose(0, "secret", allFit); len(none) != 0 {
		t.Errorf("0 are %v", none)
	}

	unfit := decoys[0]
	others := choose(32, "secret", func(p Port) Fitness {
		if p == unfit {
			return Unfit
		}
		return Fit
	})
	kept := 0
	for _, d := range decoys {
		if slices.Contains(others, d) {
			kept++
		}
	}
	if slices.Contains(others, unfit) || kept != 31 {
		t.Errorf("one was not fit any more, and %d of the other 31 stayed", kept)
	}

	onlyHigh := choose(32, "secret", func(p Port) Fitness {
		if p.Number > 8500 && p.Number <= 8520 || p.Number > 65000 {
			return Fit
		}
		return Doubtful
	})
	if low := between(onlyHigh, TCP, 0, 8500); low != 2 {
		t.Errorf("%d doubtful ones, want 2, for the gaps that have no other: %v", low, onlyHigh)
	}
	if some := choose(32, "secret", func(p Port) Fitness { return Unfit }); len(some) != 0 {
		t.Errorf("there was none, but %v were chosen", some)
	}
}

// Whoever tries the few ports around the knocks meets decoys too.
func TestDecoysAroundNeighbours(t *testing.T) {
	doors := []Door{door("ssh", "7000 7100 7050", "")}
	decoys := ChooseDecoys(doors, 32, []byte("secret"), allFit)
	for _, gap := range []gap{{0, 7000}, {7000, 7050}, {7050, 7100}, {7100, 65536}} {
		if n := between(decoys, TCP, gap.below, gap.above); n != 8 {
			t.Errorf("%d decoys between %d and %d, want 8", n, gap.below, gap.above)
		}
	}
	// Where there is no room for as many, the others have more.
	doors[0].Sequence = knocks("7000 7002 7050")
	if decoys = ChooseDecoys(doors, 32, []byte("secret"), allFit); len(decoys) != 32 || between(decoys, TCP, 7000, 7002) != 1 {
		t.Errorf("want 32, one of them 7001: %v", decoys)
	}
}
