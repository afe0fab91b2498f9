package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"nftknock/integration/lab"
)

// A forger makes SYNs that differ in what their sender chooses: the source, its
// port, and the sequence number.
type forger struct {
	frame           []byte
	source          func(random uint32) uint32
	random          *rand.PCG
	ipRest, tcpRest uint32 // what all else adds to the checksums
}

// forgeSYNs returns SYNs to a port, each from somebody else.
func forgeSYNs(w *wire, to netip.AddrPort) func() []byte {
	return newForger(w, to, anybody).next
}

// forgeSYNsFrom returns SYNs to a port, all from one source.
func forgeSYNsFrom(w *wire, from netip.Addr, to netip.AddrPort) func() []byte {
	source := binary.BigEndian.Uint32(from.AsSlice())
	return newForger(w, to, func(uint32) uint32 { return source }).next
}

func newForger(w *wire, to netip.AddrPort, source func(uint32) uint32) *forger {
	nobody := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	f := &forger{
		frame:  w.frame(lab.TCP(nobody, to, 0, lab.FlagSYN)),
		source: source,
		random: rand.NewPCG(rand.Uint64(), rand.Uint64()),
	}
	f.ipRest = uint32(^binary.BigEndian.Uint16(f.frame[ipHeader+10:]))
	f.tcpRest = uint32(^binary.BigEndian.Uint16(f.frame[tcpHeader+16:]))
	return f
}

// next returns a frame that is valid until the next call.
func (f *forger) next() []byte {
	ip, tcp := f.frame[ipHeader:], f.frame[tcpHeader:]
	r := f.random.Uint64()
	binary.BigEndian.PutUint32(ip[12:], f.source(uint32(r)))
	binary.BigEndian.PutUint16(tcp[0:], uint16(r>>32)|1024)
	binary.BigEndian.PutUint32(tcp[4:], uint32(r>>16))
	source := lab.WordSum(ip[12:16])
	binary.BigEndian.PutUint16(ip[10:], lab.Complement(f.ipRest+source))
	binary.BigEndian.PutUint16(tcp[16:], lab.Complement(f.tcpRest+source+lab.WordSum(tcp[0:2])+lab.WordSum(tcp[4:8])))
	return f.frame
}

// anybody turns a number into an address that a host may have, from 16.0.0.0 to
// 111.255.255.255: none of the benchmarks' own.
func anybody(n uint32) uint32 {
	const first, blocks = 16, 96
	return (first+n>>24%blocks)<<24 | n&0xffffff
}

// repeat returns the frames given, over and over.
func repeat(frames ...[]byte) func() []byte {
	n := 0
	return func() []byte {
		n++
		return frames[n%len(frames)]
	}
}
