package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"nftknock/config"
	"nftknock/knock"
)

// A guess is what it takes to open a door without knowing anything of it.
type guess struct {
	scans float64 // how many port scans it takes to knock the sequence by chance; 1: every one does, or there is none
	codes float64 // how many codes have to be tried then; 1: there are none
}

// guessOf estimates what guessing a door takes. What counts for the sequence is not
// how many there are: knocks on ports of no meaning change nothing, so that a scan
// of all ports in random order tries very many at once. It knocks the n ports of the
// sequence in the right order, and before any of d decoys, once in (d+1)·(d+2)·…·(d+n)
// scans. A knock that is repeated at once costs a scan nothing and is not counted.
func guessOf(d *knock.Door, decoys int) guess {
	g := guess{scans: 1, codes: 1}
	if decoys > 0 || !inScanOrder(d.Sequence) {
		for i := range slices.Compact(slices.Clone(d.Sequence)) {
			g.scans *= float64(decoys + 1 + i)
		}
	}
	if d.CodeBase != 0 {
		const valid = 2*skew + 1 // codes, at any time
		g.codes = (knock.MaxCode + 1) / float64(valid)
	}
	return g
}

// inScanOrder reports whether a scan from port to port, up or down, knocks the sequence.
func inScanOrder(sequence []knock.Port) bool {
	up := func(a, b knock.Port) int { return cmp.Compare(a.Number, b.Number) }
	down := func(a, b knock.Port) int { return up(b, a) }
	return slices.IsSortedFunc(sequence, up) || slices.IsSortedFunc(sequence, down)
}

// describeGuess says how many tries it takes to guess a door, and how often one may
// be made. It tells nothing that a scan would not.
func describeGuess(d *knock.Door, scan config.Scan) string {
	if len(d.Sequence) == 0 && d.CodeBase == 0 {
		return "only a packet made with one of its spa_keys opens it"
	}
	g := guessOf(d, scan.Decoys)
	try := "port scans in random order"
	switch {
	case d.CodeBase != 0 && len(d.Sequence) > 0:
		try += ", each with a code after it"
	case d.CodeBase != 0:
		try = "codes"
	case g.scans == 1:
		return "every port scan in order opens it: set scan.decoys"
	}
	pause := "which nothing stops: set scan.decoys"
	if scan.Decoys > 0 || d.CodeBase != 0 {
		pause = fmt.Sprintf("and each mutes its source for %s", strings.Replace(scan.Mute.String(), "m0s", "m", 1))
	}
	return fmt.Sprintf("a guess takes about %s tries (%s), %s", about(g.scans*g.codes), try, pause)
}

// about returns a number with two digits that mean something.
func about(n float64) string {
	exponent := math.Floor(math.Log10(n))
	if exponent < 6 {
		unit := math.Pow(10, max(0, exponent-1))
		return fmt.Sprintf("%.0f", math.Round(n/unit)*unit)
	}
	return fmt.Sprintf("%.1f·10^%.0f", n/math.Pow(10, exponent), exponent)
}
