package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"nftknock/knock"
)

// Why a packet is no knock. The errors are values, so that a stream of rubbish
// costs no memory.
var (
	errTruncated = errors.New("packet is cut off before its ports")
	errVersion   = errors.New("packet is neither IPv4 nor IPv6")
	errFragment  = errors.New("packet is a later fragment, without ports")
	errProtocol  = errors.New("packet is neither TCP nor UDP")
	errNotSYN    = errors.New("segment is not the first of a connection")
	errSource    = errors.New("packet's source is no host's address")
	errPort      = errors.New("packet's destination port is 0")
)

// decode reads the start of an IP packet, from its IP header on, as far as its
// ports and sequence number. It accepts TCP segments whose FIN, SYN, RST and
// ACK bits are exactly SYN, and UDP datagrams, whose payload it returns if all of it is there.
func decode(b []byte) (knock.Packet, []byte, error) {
	if len(b) == 0 {
		return knock.Packet{}, nil, errTruncated
	}
	switch b[0] >> 4 {
	case 4:
		return decodeIPv4(b)
	case 6:
		return decodeIPv6(b)
	}
	return knock.Packet{}, nil, errVersion
}

// decodeIPv4 follows RFC 791, section 3.1.
func decodeIPv4(b []byte) (knock.Packet, []byte, error) {
	const minHeader = 20
	if len(b) < minHeader {
		return knock.Packet{}, nil, errTruncated
	}
	header := int(b[0]&0x0f) * 4
	if header < minHeader || len(b) < header {
		return knock.Packet{}, nil, errTruncated
	}
	if offset := binary.BigEndian.Uint16(b[6:]) & 0x1fff; offset != 0 {
		return knock.Packet{}, nil, errFragment
	}
	source := netip.AddrFrom4([4]byte(b[12:16]))
	return decodeTransport(source, knock.Proto(b[9]), b[header:])
}

// IPv6 extension headers that may come before the transport header (RFC 8200,
// section 4; Linux: ipv6_ext_hdr in net/ipv6/exthdrs_core.c).
const (
	hopByHop    = 0
	routing     = 43
	fragment    = 44
	authHeader  = 51
	destOptions = 60
)

// decodeIPv6 follows RFC 8200, section 3.
func decodeIPv6(b []byte) (knock.Packet, []byte, error) {
	const header = 40
	if len(b) < header {
		return knock.Packet{}, nil, errTruncated
	}
	source := netip.AddrFrom16([16]byte(b[8:24]))
	next, rest := b[6], b[header:]
	for {
		if next != hopByHop && next != routing && next != fragment && next != authHeader && next != destOptions {
			return decodeTransport(source, knock.Proto(next), rest)
		}
		if len(rest) < 8 {
			return knock.Packet{}, nil, errTruncated
		}
		length := (int(rest[1]) + 1) * 8 // RFC 8200, section 4.3 and others
		switch next {
		case authHeader:
			length = (int(rest[1]) + 2) * 4 // RFC 4302, section 2.2
		case fragment:
			length = 8
			if offset := binary.BigEndian.Uint16(rest[2:]) &^ 7; offset != 0 {
				return knock.Packet{}, nil, errFragment
			}
		}
		if len(rest) < length {
			return knock.Packet{}, nil, errTruncated
		}
		next, rest = rest[0], rest[length:]
	}
}

// decodeTransport follows RFC 9293, section 3.1, and RFC 768.
func decodeTransport(source netip.Addr, proto knock.Proto, b []byte) (p knock.Packet, payload []byte, err error) {
	if source.IsUnspecified() || source.IsMulticast() || source.Is4In6() {
		return knock.Packet{}, nil, errSource
	}
	if proto != knock.TCP && proto != knock.UDP {
		return knock.Packet{}, nil, errProtocol
	}
	if len(b) < 8 {
		return knock.Packet{}, nil, errTruncated
	}
	p = knock.Packet{
		Source:     source,
		SourcePort: binary.BigEndian.Uint16(b),
		Port:       knock.Port{Number: binary.BigEndian.Uint16(b[2:]), Proto: proto},
	}
	if p.Port.Number == 0 {
		return knock.Packet{}, nil, errPort
	}
	if proto == knock.TCP {
		if len(b) < 14 {
			return knock.Packet{}, nil, errTruncated
		}
		if b[13]&(fin|syn|rst|ack) != syn {
			return knock.Packet{}, nil, errNotSYN
		}
		p.ISN = binary.BigEndian.Uint32(b[4:])
		return p, nil, nil
	}
	if length := int(binary.BigEndian.Uint16(b[4:])); udpHeaderSize <= length && length <= len(b) {
		payload = b[udpHeaderSize:length]
	}
	return p, payload, nil
}
