package knock

import "slices"

// byPort knows which sequences contain a port. The zero value knows of none. There is a
// number for every port there is, which is faster than a map.
type byPort struct {
	tcp, udp [1 << 16]uint16 // the number of the port's list plus one; 0: in no sequence
	lists    [][]int32
}

func (b *byPort) number(p Port) *uint16 {
	if p.Proto == UDP {
		return &b.udp[p.Number]
	}
	return &b.tcp[p.Number]
}

// of returns the sequences that contain a port.
func (b *byPort) of(p Port) []int32 {
	if n := *b.number(p); n != 0 {
		return b.lists[n-1]
	}
	return nil
}

func (b *byPort) add(p Port, sequence int32) {
	n := b.number(p)
	if *n == 0 {
		b.lists = append(b.lists, nil)
		*n = uint16(len(b.lists))
	}
	if list := &b.lists[*n-1]; !slices.Contains(*list, sequence) {
		*list = append(*list, sequence)
	}
}
