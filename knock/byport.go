package knock

import "slices"

// byPort knows which sequences contain a port, and which are decoys. The zero value knows
// of none. There is a number for every port there is, which is faster than a map.
type byPort struct {
	tcp, udp [1 << 16]int32 // the number of the port's list, from 1; or aDecoy
	lists    [][]int32
}

const aDecoy = -1

func (b *byPort) number(p Port) *int32 {
	if p.Proto == UDP {
		return &b.udp[p.Number]
	}
	return &b.tcp[p.Number]
}

// of returns the sequences that contain a port, and whether it is a decoy.
func (b *byPort) of(p Port) (sequences []int32, decoy bool) {
	n := *b.number(p)
	if n > 0 {
		return b.lists[n-1], false
	}
	return nil, n == aDecoy
}

func (b *byPort) add(p Port, sequence int32) {
	n := b.number(p)
	if *n == 0 {
		b.lists = append(b.lists, nil)
		*n = int32(len(b.lists))
	}
	if list := &b.lists[*n-1]; !slices.Contains(*list, sequence) {
		*list = append(*list, sequence)
	}
}

// addDecoy makes a port a decoy, unless it is in a sequence.
func (b *byPort) addDecoy(p Port) {
	if n := b.number(p); *n == 0 {
		*n = aDecoy
	}
}
