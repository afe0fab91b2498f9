package nft

import (
	"encoding/binary"
	"iter"
	"time"

	"golang.org/x/sys/unix"
)

// A message is what a message of the log says of a packet.
type message struct {
	payload  []byte    // the start of the packet
	stamp    time.Time // when it arrived, by the wall clock; zero if the kernel has not stamped it
	seq      uint32    // the message's number in its group
	numbered bool      // it has one
	link     uint32    // the index of the interface that the packet came by; 0 if it is not told
}

// The sizes of netlink (linux/netlink.h, linux/netfilter/nfnetlink.h), in bytes.
const (
	netlinkHeader   = 16 // struct nlmsghdr
	nfnetlinkHeader = 4  // struct nfgenmsg
	attributeHeader = 4  // struct nlattr
)

// messages returns the packets in a datagram of the log. What is not well-formed ends it.
func messages(datagram []byte) iter.Seq[message] {
	const packet = unix.NFNL_SUBSYS_ULOG << 8 // NFULNL_MSG_PACKET, which is 0
	return func(yield func(message) bool) {
		for rest := datagram; len(rest) >= netlinkHeader; {
			length := int(binary.NativeEndian.Uint32(rest))
			if length < netlinkHeader || length > len(rest) {
				return
			}
			kind := binary.NativeEndian.Uint16(rest[4:])
			if kind == packet && length >= netlinkHeader+nfnetlinkHeader {
				if !yield(readMessage(rest[netlinkHeader+nfnetlinkHeader : length])) {
					return
				}
			}
			rest = rest[min(align(length), len(rest)):]
		}
	}
}

// readMessage reads the attributes of a message.
func readMessage(attributes []byte) message {
	// NFULA_TIMESTAMP and so on (linux/netfilter/nfnetlink_log.h)
	const timestamp, inDev, payload, seq = 3, 4, 9, 12
	var m message
	for len(attributes) >= attributeHeader {
		length := int(binary.NativeEndian.Uint16(attributes))
		if length < attributeHeader || length > len(attributes) {
			break
		}
		value := attributes[attributeHeader:length]
		switch binary.NativeEndian.Uint16(attributes[2:]) {
		case timestamp: // struct nfulnl_msg_packet_timestamp
			if len(value) == 16 {
				seconds, microseconds := binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])
				m.stamp = time.Unix(int64(seconds), int64(microseconds)*1000)
			}
		case inDev:
			if len(value) == 4 {
				m.link = binary.BigEndian.Uint32(value)
			}
		case payload:
			m.payload = value
		case seq:
			if len(value) == 4 {
				m.seq, m.numbered = binary.BigEndian.Uint32(value), true
			}
		}
		attributes = attributes[min(align(length), len(attributes)):]
	}
	return m
}

// align rounds up to where the next message or attribute begins (NLMSG_ALIGNTO,
// NLA_ALIGNTO).
func align(n int) int { return (n + 3) &^ 3 }
