package lab

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Datagram is a packet of IP in which every field that an attacker may choose can be
// chosen. Lengths and checksums are worked out when it is written.
type Datagram struct {
	From, To netip.Addr
	TOS      byte   // IPv6 calls it traffic class
	TTL      byte   // 64 if zero
	ID       uint16 // IPv4
	Label    uint32 // IPv6, 20 bits
	Options  []byte // IPv4, a multiple of four bytes
	Headers  []Extension
	Offset   int  // of a fragment's payload in the whole, in bytes
	More     bool // fragments follow
	Proto    byte
	Payload  []byte
}

// An Extension is an extension header of IPv6, without the byte that names the next one.
type Extension struct {
	Proto byte
	Rest  []byte // 8n - 1 bytes
}

// PaddedExtension is an extension header with nothing in it: hop-by-hop or destination options
// (RFC 8200, 4.2), words of eight bytes long.
func PaddedExtension(proto byte, words int) Extension {
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
	return Extension{proto, rest}
}

// Bytes is the packet as it stands on the wire.
func (d *Datagram) Bytes() []byte {
	ttl := d.TTL
	if ttl == 0 {
		ttl = 64
	}
	if d.To.Is4() {
		b := []byte{0x40 | byte(5+len(d.Options)/4), d.TOS}
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(d.Options)+len(d.Payload)))
		b = binary.BigEndian.AppendUint16(b, d.ID)
		b = binary.BigEndian.AppendUint16(b, d.fragment(0x2000, uint16(d.Offset/8)))
		b = append(b, ttl, d.Proto, 0, 0)
		b = append(append(b, d.From.AsSlice()...), d.To.AsSlice()...)
		b = append(b, d.Options...)
		binary.BigEndian.PutUint16(b[10:], Complement(WordSum(b)))
		return append(b, d.Payload...)
	}
	headers := d.Headers
	if d.Offset > 0 || d.More {
		rest := make([]byte, 7)
		binary.BigEndian.PutUint16(rest[1:], d.fragment(1, uint16(d.Offset)))
		binary.BigEndian.PutUint32(rest[3:], uint32(d.ID))
		headers = append(headers[:len(headers):len(headers)], Extension{unix.IPPROTO_FRAGMENT, rest})
	}
	var inner []byte
	for i, h := range headers {
		next := d.Proto
		if i+1 < len(headers) {
			next = headers[i+1].Proto
		}
		inner = append(append(inner, next), h.Rest...)
	}
	inner = append(inner, d.Payload...)
	first := d.Proto
	if len(headers) > 0 {
		first = headers[0].Proto
	}
	b := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(d.TOS)<<20|d.Label&0xfffff)
	b = binary.BigEndian.AppendUint16(b, uint16(len(inner)))
	b = append(b, first, ttl)
	b = append(append(b, d.From.AsSlice()...), d.To.AsSlice()...)
	return append(b, inner...)
}

func (d *Datagram) fragment(more, offset uint16) uint16 {
	if d.More {
		return offset | more
	}
	return offset
}

// Cut returns the packet as fragments, each but the last with size bytes, a multiple of eight.
func (d *Datagram) Cut(size int) []*Datagram {
	var all []*Datagram
	for at := 0; at < len(d.Payload); at += size {
		f := *d
		f.Offset = at
		f.Payload = d.Payload[at:min(at+size, len(d.Payload))]
		f.More = at+size < len(d.Payload)
		all = append(all, &f)
	}
	return all
}

// A Segment is TCP in which every field can be chosen.
type Segment struct {
	From, To netip.AddrPort
	Seq, Ack uint32
	Flags    byte
	Options  []byte // filled up with zeros to words
	Data     []byte
}

// Datagram is the segment in a packet.
func (s Segment) Datagram() *Datagram {
	options := append([]byte{}, s.Options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	b := make([]byte, 20, 20+len(options)+len(s.Data))
	binary.BigEndian.PutUint16(b[0:], s.From.Port())
	binary.BigEndian.PutUint16(b[2:], s.To.Port())
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	binary.BigEndian.PutUint32(b[8:], s.Ack)
	b[12] = byte((20 + len(options)) / 4 << 4)
	b[13] = s.Flags
	binary.BigEndian.PutUint16(b[14:], 64240)
	b = append(append(b, options...), s.Data...)
	return NewDatagram(unix.IPPROTO_TCP, s.From.Addr(), s.To.Addr(), b, 16)
}

// UDPDatagram is a UDP datagram in a packet.
func UDPDatagram(from, to netip.AddrPort, data []byte) *Datagram {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	return NewDatagram(unix.IPPROTO_UDP, from.Addr(), to.Addr(), append(b, data...), 6)
}

// NewDatagram puts the checksum where it belongs.
func NewDatagram(proto byte, from, to netip.Addr, b []byte, checksumAt int) *Datagram {
	d := &Datagram{From: from, To: to, Proto: proto, Payload: b}
	binary.BigEndian.PutUint16(b[checksumAt:], TransportSum(from, to, proto, b))
	return d
}

// TransportSum is the checksum over a payload and its pseudo header; zero if it is covered
// and right.
func TransportSum(from, to netip.Addr, proto byte, payload []byte) uint16 {
	covered := append(from.AsSlice(), to.AsSlice()...)
	covered = binary.BigEndian.AppendUint32(covered, uint32(len(payload)))
	covered = append(covered, 0, 0, 0, proto)
	covered = append(covered, payload...)
	if len(covered)%2 != 0 {
		covered = append(covered, 0)
	}
	return Complement(WordSum(covered))
}

// Options of TCP that a stack treats differently from others.
var (
	OptionMD5        = append([]byte{19, 18}, make([]byte, 16)...)       // RFC 2385
	OptionTFORequest = []byte{34, 2, 1, 1}                               // RFC 7413: asks for a cookie
	OptionTFO        = []byte{34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1}      // with a cookie
	OptionMPTCP      = []byte{30, 4, 1, 0}                               // RFC 8684: MP_CAPABLE
	OptionMPJoin     = []byte{30, 12, 16, 1, 1, 2, 3, 4, 5, 6, 7, 8}     // MP_JOIN
	OptionTimestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}       // RFC 7323
	OptionsOrdinary  = []byte{2, 4, 5, 180, 4, 2, 1, 3, 3, 7}            // MSS, SACK, window scale
	OptionAO         = append([]byte{29, 16, 1, 1}, make([]byte, 12)...) // RFC 5925
)

// A Received is a packet of IP as it came.
type Received struct {
	Raw      []byte
	From, To netip.Addr
	Proto    byte
	Payload  []byte // what follows the IP header
	Unsummed bool   // the checksum was left to a network card
}

// ParseReceived reads a frame of Ethernet; false if it has no IP in it.
func ParseReceived(frame []byte) (Received, bool) {
	switch {
	case len(frame) >= 34 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP:
		ip := frame[14:]
		header, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if header < 20 || total < header || total > len(ip) {
			return Received{}, false
		}
		ip = ip[:total]
		return Received{Raw: ip, From: netip.AddrFrom4([4]byte(ip[12:])), To: netip.AddrFrom4([4]byte(ip[16:])), Proto: ip[9], Payload: ip[header:]}, true
	case len(frame) >= 54 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6:
		ip := frame[14:]
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total > len(ip) {
			return Received{}, false
		}
		ip = ip[:total]
		return Received{Raw: ip, From: netip.AddrFrom16([16]byte(ip[8:])), To: netip.AddrFrom16([16]byte(ip[24:])), Proto: ip[6], Payload: ip[40:]}, true
	}
	return Received{}, false
}

// IsTCP reports whether the packet is a whole TCP header at least. Flags, Seq and Data are for such packets.
func (a Received) IsTCP() bool { return a.Proto == unix.IPPROTO_TCP && len(a.Payload) >= 20 }

// IsError reports whether the packet is an ICMP error about another one.
func (a Received) IsError() bool {
	switch {
	case len(a.Payload) < 8:
		return false
	case a.Proto == unix.IPPROTO_ICMP:
		return a.Payload[0] != 0 && a.Payload[0] != 8
	}
	return a.Proto == unix.IPPROTO_ICMPV6 && a.Payload[0] < 128
}

// Source is the port that a segment or datagram comes from.
func (a Received) Source() uint16 { return binary.BigEndian.Uint16(a.Payload) }

// Target is the port that it goes to.
func (a Received) Target() uint16 { return binary.BigEndian.Uint16(a.Payload[2:]) }

// Seq is a segment's sequence number.
func (a Received) Seq() uint32 { return binary.BigEndian.Uint32(a.Payload[4:]) }

// Flags are a segment's flags, all eight of them.
func (a Received) Flags() byte { return a.Payload[13] }

// Data is what a segment carries behind its options.
func (a Received) Data() []byte { return a.Payload[int(a.Payload[12]>>4)*4:] }

// TOS is the type of service, which IPv6 calls traffic class.
func (a Received) TOS() byte {
	if a.From.Is4() {
		return a.Raw[1]
	}
	return byte(binary.BigEndian.Uint16(a.Raw) >> 4)
}

// Label is IPv6's flow label.
func (a Received) Label() uint32 { return binary.BigEndian.Uint32(a.Raw) & 0xfffff }

// WordSum is the sum that the Internet's checksums are complements of (RFC
// 1071), over an even number of bytes.
func WordSum(b []byte) uint32 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum
}

// Complement folds a sum into the checksum that it is for.
func Complement(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
