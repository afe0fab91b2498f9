package integration

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A datagram is a packet of IP in which every field that an attacker may choose can be
// chosen. Lengths and checksums are worked out when it is written.
type datagram struct {
	from, to netip.Addr
	tos      byte   // IPv6 calls it traffic class
	ttl      byte   // 64 if zero
	id       uint16 // IPv4
	label    uint32 // IPv6, 20 bits
	options  []byte // IPv4, a multiple of four bytes
	headers  []extension
	offset   int  // of a fragment's payload in the whole, in bytes
	more     bool // fragments follow
	proto    byte
	payload  []byte
}

// An extension is an extension header of IPv6, without the byte that names the next one.
type extension struct {
	proto byte
	rest  []byte // 8n - 1 bytes
}

// padded is an extension header with nothing in it: hop-by-hop or destination options
// (RFC 8200, 4.2), words of eight bytes long.
func padded(proto byte, words int) extension {
	rest := make([]byte, words*8-1)
	rest[0] = byte(words - 1)
	for left := rest[1:]; len(left) > 0; {
		n := min(len(left), 257)
		if n == 1 {
			break // Pad1 is a zero
		}
		left[0], left[1] = 1, byte(n-2) // PadN
		left = left[n:]
	}
	return extension{proto, rest}
}

// bytes is the packet as it stands on the wire.
func (d *datagram) bytes() []byte {
	ttl := d.ttl
	if ttl == 0 {
		ttl = 64
	}
	if d.to.Is4() {
		b := []byte{0x40 | byte(5+len(d.options)/4), d.tos}
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(d.options)+len(d.payload)))
		b = binary.BigEndian.AppendUint16(b, d.id)
		b = binary.BigEndian.AppendUint16(b, d.fragment(0x2000, uint16(d.offset/8)))
		b = append(b, ttl, d.proto, 0, 0)
		b = append(append(b, d.from.AsSlice()...), d.to.AsSlice()...)
		b = append(b, d.options...)
		binary.BigEndian.PutUint16(b[10:], complement(wordSum(b)))
		return append(b, d.payload...)
	}
	headers := d.headers
	if d.offset > 0 || d.more {
		rest := make([]byte, 7)
		binary.BigEndian.PutUint16(rest[1:], d.fragment(1, uint16(d.offset)))
		binary.BigEndian.PutUint32(rest[3:], uint32(d.id))
		headers = append(headers[:len(headers):len(headers)], extension{unix.IPPROTO_FRAGMENT, rest})
	}
	var inner []byte
	for i, h := range headers {
		next := d.proto
		if i+1 < len(headers) {
			next = headers[i+1].proto
		}
		inner = append(append(inner, next), h.rest...)
	}
	inner = append(inner, d.payload...)
	first := d.proto
	if len(headers) > 0 {
		first = headers[0].proto
	}
	b := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(d.tos)<<20|d.label&0xfffff)
	b = binary.BigEndian.AppendUint16(b, uint16(len(inner)))
	b = append(b, first, ttl)
	b = append(append(b, d.from.AsSlice()...), d.to.AsSlice()...)
	return append(b, inner...)
}

func (d *datagram) fragment(more, offset uint16) uint16 {
	if d.more {
		return offset | more
	}
	return offset
}

// cut returns the packet as fragments, each but the last with size bytes, a multiple of eight.
func (d *datagram) cut(size int) []*datagram {
	var all []*datagram
	for at := 0; at < len(d.payload); at += size {
		f := *d
		f.offset = at
		f.payload = d.payload[at:min(at+size, len(d.payload))]
		f.more = at+size < len(d.payload)
		all = append(all, &f)
	}
	return all
}

// A segment is TCP in which every field can be chosen.
type segment struct {
	from, to netip.AddrPort
	seq, ack uint32
	flags    byte
	options  []byte // filled up with zeros to words
	data     []byte
}

// datagram is the segment in a packet.
func (s segment) datagram() *datagram {
	options := append([]byte{}, s.options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	b := make([]byte, 20, 20+len(options)+len(s.data))
	binary.BigEndian.PutUint16(b[0:], s.from.Port())
	binary.BigEndian.PutUint16(b[2:], s.to.Port())
	binary.BigEndian.PutUint32(b[4:], s.seq)
	binary.BigEndian.PutUint32(b[8:], s.ack)
	b[12] = byte((20 + len(options)) / 4 << 4)
	b[13] = s.flags
	binary.BigEndian.PutUint16(b[14:], 64240)
	b = append(append(b, options...), s.data...)
	return transport(unix.IPPROTO_TCP, s.from.Addr(), s.to.Addr(), b, 16)
}

// udpWith is a UDP datagram in a packet.
func udpWith(from, to netip.AddrPort, data []byte) *datagram {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return transport(unix.IPPROTO_UDP, from.Addr(), to.Addr(), append(b, data...), 6)
}

// transport puts the checksum where it belongs.
func transport(proto byte, from, to netip.Addr, b []byte, checksumAt int) *datagram {
	d := &datagram{from: from, to: to, proto: proto, payload: b}
	binary.BigEndian.PutUint16(b[checksumAt:], transportSum(from, to, proto, b))
	return d
}

// transportSum is the checksum over a payload and its pseudo header; zero if it is covered
// and right.
func transportSum(from, to netip.Addr, proto byte, payload []byte) uint16 {
	covered := append(from.AsSlice(), to.AsSlice()...)
	covered = binary.BigEndian.AppendUint32(covered, uint32(len(payload)))
	covered = append(covered, 0, 0, 0, proto)
	covered = append(covered, payload...)
	if len(covered)%2 != 0 {
		covered = append(covered, 0)
	}
	return complement(wordSum(covered))
}

// Options of TCP that a stack treats differently from others.
var (
	optionMD5     = append([]byte{19, 18}, make([]byte, 16)...)       // RFC 2385
	optionFastOpn = []byte{34, 2, 1, 1}                               // RFC 7413: asks for a cookie
	optionTFOData = []byte{34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}      // with a cookie
	optionMPTCP   = []byte{30, 4, 1, 0}                               // RFC 8684: MP_CAPABLE
	optionMPJoin  = []byte{30, 12, 16, 1, 1, 2, 3, 4, 5, 6, 7, 8}     // MP_JOIN
	optionStamps  = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}       // RFC 7323
	optionOrdin   = []byte{2, 4, 5, 180, 4, 2, 1, 3, 3, 7}            // MSS, SACK, window scale
	optionAO      = append([]byte{29, 16, 1, 1}, make([]byte, 12)...) // RFC 5925
)

// An arrival is a packet of IP as it came.
type arrived struct {
	raw      []byte
	from, to netip.Addr
	proto    byte
	payload  []byte // what follows the IP header
	unsummed bool   // the checksum was left to a network card
}

// parseArrived reads a frame of Ethernet; false if it has no IP in it.
func parseArrived(frame []byte) (arrived, bool) {
	switch {
	case len(frame) >= 34 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP:
		ip := frame[14:]
		header, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if header < 20 || total < header || total > len(ip) {
			return arrived{}, false
		}
		ip = ip[:total]
		return arrived{raw: ip, from: netip.AddrFrom4([4]byte(ip[12:])), to: netip.AddrFrom4([4]byte(ip[16:])), proto: ip[9], payload: ip[header:]}, true
	case len(frame) >= 54 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6:
		ip := frame[14:]
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total > len(ip) {
			return arrived{}, false
		}
		ip = ip[:total]
		return arrived{raw: ip, from: netip.AddrFrom16([16]byte(ip[8:])), to: netip.AddrFrom16([16]byte(ip[24:])), proto: ip[6], payload: ip[40:]}, true
	}
	return arrived{}, false
}

func (a arrived) isTCP() bool { return a.proto == unix.IPPROTO_TCP && len(a.payload) >= 20 }

// isError reports whether the packet is an ICMP error about another one.
func (a arrived) isError() bool {
	switch {
	case len(a.payload) < 8:
		return false
	case a.proto == unix.IPPROTO_ICMP:
		return a.payload[0] != 0 && a.payload[0] != 8
	}
	return a.proto == unix.IPPROTO_ICMPV6 && a.payload[0] < 128
}

func (a arrived) source() uint16 { return binary.BigEndian.Uint16(a.payload) }
func (a arrived) target() uint16 { return binary.BigEndian.Uint16(a.payload[2:]) }
func (a arrived) seq() uint32    { return binary.BigEndian.Uint32(a.payload[4:]) }
func (a arrived) flags() byte    { return a.payload[13] }
func (a arrived) data() []byte   { return a.payload[int(a.payload[12]>>4)*4:] }
func (a arrived) tos() byte {
	if a.from.Is4() {
		return a.raw[1]
	}
	return byte(binary.BigEndian.Uint16(a.raw) >> 4)
}
func (a arrived) label() uint32 { return binary.BigEndian.Uint32(a.raw) & 0xfffff }
