package knock

import (
	"cmp"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
)

// Fitness is how well a port does for a decoy.
type Fitness uint8

const (
	Unfit    Fitness = iota // somebody who means no harm may send something to it
	Doubtful                // taken where there is no better one
	Fit
)

// ChooseDecoys returns decoys for the doors: for each protocol that has knocks, at least one
// between any two ports of a sequence, below the lowest and above the highest, if any port
// is fit there; so whoever tries ports in order meets one before the next knock. There
// are n for each protocol, or as many more as that takes; none if n is 0. Each of these gaps has
// as many as the others, whatever its width: a scan of few ports around the knocks meets
// decoys too. The same secret makes the same choice, as far as the doors and what fit says
// are the same.
func ChooseDecoys(doors []Door, n int, secret []byte, fit func(Port) Fitness) []Port {
	if n == 0 {
		return nil
	}
	var sequences []sequence
	taken := make(map[Port]bool)
	for i := range doors {
		for _, s := range sequencesOf(&doors[i]) {
			sequences = append(sequences, s)
			for p := range s.ports {
				taken[p] = true
			}
		}
		for _, p := range doors[i].Ports {
			taken[p] = true
		}
	}
	fitUnlessTaken := func(p Port) Fitness {
		if taken[p] {
			return Unfit
		}
		return fit(p)
	}
	var decoys []Port
	for _, proto := range []Proto{TCP, UDP} {
		if gaps := gapsOf(sequences, proto); len(gaps) > 0 {
			c := newChoice(proto, secret, fitUnlessTaken)
			c.fill(gaps, n)
			decoys = append(decoys, c.chosen...)
		}
	}
	return decoys
}

// A gap is between two ports of a sequence, or beyond all of them; neither end is in it.
type gap struct{ below, above int }

// gapsOf returns the gaps in each sequence's ports of a protocol, the narrow ones first.
func gapsOf(sequences []sequence, proto Proto) []gap {
	var gaps []gap
	for _, s := range sequences {
		var numbers []int
		for p := range s.ports {
			if p.Proto == proto {
				numbers = append(numbers, int(p.Number))
			}
		}
		if len(numbers) == 0 {
			continue
		}
		slices.Sort(numbers)
		below := 0
		for _, number := range append(numbers, 1<<16) {
			// Nothing fits between the ports that carry codes.
			if isCode := s.base != 0 && below >= int(s.base) && number < int(s.base)+CodePorts; !isCode {
				gaps = append(gaps, gap{below, number})
			}
			below = number
		}
	}
	slices.SortFunc(gaps, func(a, b gap) int {
		return cmp.Or(cmp.Compare(a.above-a.below, b.above-b.below), cmp.Compare(a.below, b.below))
	})
	return slices.Compact(gaps)
}

// A choice is of one protocol's decoys.
type choice struct {
	proto   Proto
	fitness [1 << 16]Fitness
	rank    [1 << 16]uint32 // by chance: among ports that are as fit the lowest is taken
	chosen  []Port          // in order
}

func newChoice(proto Proto, secret []byte, fit func(Port) Fitness) *choice {
	c := &choice{proto: proto}
	random := rand.NewChaCha8(sha256.Sum256(append([]byte("nftknock decoys "+proto.String()+" "), secret...)))
	for number := 1; number < 1<<16; number++ {
		c.fitness[number] = fit(Port{uint16(number), proto})
		c.rank[number] = uint32(random.Uint64())
	}
	return c
}

// compare orders ports by how soon they are to be taken.
func (c *choice) compare(a, b int) int {
	return cmp.Or(cmp.Compare(c.fitness[b], c.fitness[a]), cmp.Compare(c.rank[a], c.rank[b]))
}

func (c *choice) choose(number int) {
	i, _ := c.search(number)
	c.chosen = slices.Insert(c.chosen, i, Port{uint16(number), c.proto})
	c.fitness[number] = Unfit // to be taken again
}

// search returns where in chosen a number is or would be.
func (c *choice) search(number int) (int, bool) {
	return slices.BinarySearchFunc(c.chosen, number, func(p Port, n int) int { return int(p.Number) - n })
}

// count returns how many decoys are in a gap.
func (c *choice) count(g gap) int {
	first, _ := c.search(g.below + 1)
	end, _ := c.search(g.above)
	return end - first
}

// fill puts a decoy into each gap, and then a second one, and so on, until there are n in
// all, or no more ports that are fit. For the first one, a doubtful port will do.
func (c *choice) fill(gaps []gap, n int) {
	for each, least := 1, Doubtful; ; each, least = each+1, Fit {
		before := len(c.chosen)
		for _, g := range gaps {
			if each > 1 && len(c.chosen) >= n {
				return
			}
			if c.count(g) < each {
				c.chooseIn(g, least)
			}
		}
		if each > 1 && len(c.chosen) == before {
			return
		}
	}
}

// chooseIn chooses the best port of a gap, if there is one that is fit enough.
func (c *choice) chooseIn(g gap, least Fitness) {
	best := 0 // which is no port, and not fit
	for number := g.below + 1; number < g.above; number++ {
		if c.compare(number, best) < 0 {
			best = number
		}
	}
	if c.fitness[best] >= least {
		c.choose(best)
	}
}
