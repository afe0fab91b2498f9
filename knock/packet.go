package knock

import (
	"fmt"
	"net/netip"
)

// A Packet is what the tracker needs to know of a packet that hit a knock port:
// a TCP SYN, or a UDP datagram.
type Packet struct {
	Source     netip.Addr // IPv4 or IPv6, but not IPv4 mapped into IPv6
	SourcePort uint16
	Port       Port   // the destination
	ISN        uint32 // TCP: the initial sequence number, which a retransmission repeats; UDP: unused
}

// A syn identifies a SYN among those of one source: a retransmission has the
// same. No SYN is 0, as its ports are not.
type syn uint64

// syn returns 0 for a UDP datagram: nothing tells whether it is a repeated one.
func (p Packet) syn() syn {
	if p.Port.Proto != TCP {
		return 0
	}
	return syn(p.SourcePort)<<48 | syn(p.Port.Number)<<32 | syn(p.ISN)
}

// port returns the destination port.
func (s syn) port() uint16 { return uint16(s >> 32) }

// An Event is what a packet brought about.
type Event struct {
	Action Action
	Door   *Door // nil if Muted
	Source netip.Addr
	Code   int // of CheckCode: 0 to MaxCode; a secret until it is used
}

func (e Event) String() string {
	if e.Door == nil {
		return fmt.Sprintf("%s %s", e.Action, e.Source)
	}
	return fmt.Sprintf("%s: %s %s", e.Door.Name, e.Action, e.Source)
}
