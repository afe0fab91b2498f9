package nft

import (
	"bytes"
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// A statement is a part of a rule, as nft writes it and as the kernel takes it.
// The expressions are those that nft itself compiles the text to, which is what
// makes it list them as the same text again.
type statement struct {
	text  string
	exprs []expr.Any
}

// register is the one that all expressions here pass their values in.
const register = 1

// nftables' values are in network byte order where they come from the packet,
// in the host's where they come from the kernel's own data.
var hostUint32 = binaryutil.NativeEndian.PutUint32

func verdict(kind expr.VerdictKind, chain string) statement {
	text := map[expr.VerdictKind]string{
		expr.VerdictAccept: "accept",
		expr.VerdictDrop:   "drop",
		expr.VerdictReturn: "return",
		expr.VerdictJump:   "jump " + chain,
		expr.VerdictGoto:   "goto " + chain,
	}[kind]
	return statement{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

var (
	accept = verdict(expr.VerdictAccept, "")
	drop   = verdict(expr.VerdictDrop, "")
	back   = verdict(expr.VerdictReturn, "")
)

// goTo goes to a chain for good.
func goTo(chain string) statement { return verdict(expr.VerdictGoto, chain) }

// jump goes to a chain and comes back if that decides nothing.
func jump(chain string) statement { return verdict(expr.VerdictJump, chain) }

// reject answers what a closed port answers (RFC 9293, section 3.10.7.1; RFC
// 1122, section 3.2.2.1; RFC 4443, section 3.1). Prerouting can reject since Linux 5.9.
func reject(p knock.Proto) statement {
	if p == knock.TCP {
		return statement{"reject with tcp reset", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}}
	}
	return statement{"reject", []expr.Any{
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH},
	}}
}

// is compares what the register holds.
func is(value []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}
}

// iifname matches the interface a packet came in by.
func iifname(name string) statement {
	return statement{fmt.Sprintf("iifname %q", name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, is(ifname(name)),
	}}
}

// iifkind matches the kind of the interface a packet came in by, as in `ip link add type`.
func iifkind(kind string) statement {
	const metaKeyIIFKIND expr.MetaKey = 26 // NFT_META_IIFKIND of linux/netfilter/nf_tables.h
	return statement{fmt.Sprintf("meta iifkind %q", kind), []expr.Any{
		&expr.Meta{Key: metaKeyIIFKIND, Register: register}, is(ifname(kind)),
	}}
}

// oifname matches the interface a packet goes out by.
func oifname(name string) statement {
	return statement{fmt.Sprintf("oifname %q", name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register}, is(ifname(name)),
	}}
}

func iifnameNotIn(set string) statement { return nameNotIn("iifname", expr.MetaKeyIIFNAME, set) }

func oifnameNotIn(set string) statement { return nameNotIn("oifname", expr.MetaKeyOIFNAME, set) }

func nameNotIn(text string, key expr.MetaKey, set string) statement {
	return statement{text + " != @" + set, []expr.Any{
		&expr.Meta{Key: key, Register: register},
		&expr.Lookup{SourceRegister: register, SetName: set, Invert: true},
	}}
}

// ifname returns an interface's name as the kernel compares it: all IFNAMSIZ bytes of it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// l4proto matches the transport protocol. nft writes it only where no other
// statement of the rule implies it.
func l4proto(p knock.Proto) statement {
	return statement{"meta l4proto " + p.String(), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, is([]byte{byte(p)}),
	}}
}

// isTCP is for the statements that match something of TCP, whose text implies it.
var isTCP = l4proto(knock.TCP).silent()

// loadPort loads a port of TCP or UDP, which have them at the same place: the source's in
// bytes 0 and 1 of the header, the destination's in 2 and 3. name is sport or dport.
func loadPort(name string, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: portOffset[name], Len: 2}
}

var portOffset = map[string]uint32{"sport": 0, "dport": 2}

// portIn matches a port among a set's. The header is tcp or udp in a rule that has
// matched the protocol, or th, which is what TCP and UDP have in common.
func portIn(header, name, set string) statement {
	return statement{fmt.Sprintf("%s %s @%s", header, name, set), []expr.Any{
		loadPort(name, register), &expr.Lookup{SourceRegister: register, SetName: set},
	}}
}

// dportIn matches a destination port among a set's.
func dportIn(header, set string) statement { return portIn(header, "dport", set) }

// dportNotIn matches a destination port that is not among a set's.
func dportNotIn(header, set string) statement {
	return statement{fmt.Sprintf("%s dport != @%s", header, set), []expr.Any{
		loadPort("dport", register), &expr.Lookup{SourceRegister: register, SetName: set, Invert: true},
	}}
}

// dportVerdict does with a port what a verdict map says.
func dportVerdict(p knock.Proto, set string) statement {
	return statement{fmt.Sprintf("%s dport vmap @%s", p, set), []expr.Any{
		loadPort("dport", register), &expr.Lookup{SourceRegister: register, SetName: set, IsDestRegSet: true},
	}}
}

// l4protoNot matches another transport protocol; it does not match if there is none to be found.
func l4protoNot(p knock.Proto) statement {
	return statement{"meta l4proto != " + p.String(), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{byte(p)}},
	}}
}

// dportNot matches another destination port; it does not match if there is none.
func dportNot(number uint16) statement {
	return statement{fmt.Sprintf("th dport != %d", number), []expr.Any{
		loadPort("dport", register),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binaryutil.BigEndian.PutUint16(number)},
	}}
}

// firstFragment matches the first fragment of an IPv6 packet (RFC 8200, section 4.5).
var firstFragment = statement{"frag frag-off 0", append(ipv6.isFamily(),
	&expr.Exthdr{DestRegister: register, Type: fragment, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6},
	&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 2, Mask: []byte{0xff, 0xf8}, Xor: []byte{0, 0}},
	is([]byte{0, 0}),
)}

// TCP's flags (RFC 9293, section 3.1), in byte 13 of its header.
const (
	fin = 0x01
	syn = 0x02
	rst = 0x04
	psh = 0x08
	ack = 0x10
)

// tcpFlags matches a header in which, of the bits in mask, exactly value is set.
func tcpFlags(text string, value, mask byte) statement {
	return tcpFlagsCompared(text, expr.CmpOpEq, value, mask)
}

func tcpFlagsCompared(text string, op expr.CmpOp, value, mask byte) statement {
	return statement{"tcp flags " + text, []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: register, Data: []byte{value}},
	}}
}

// laterSegment matches, together with isTCP, what may not begin a connection: that takes a segment with SYN and
// without ACK, whatever else it has (RFC 9293, section 3.10.7.2), or a SYN cookie. It does not match the first
// fragment of a segment that is too short to have flags.
var laterSegment = tcpFlagsCompared("& (syn | ack) != syn", expr.CmpOpNeq, syn, syn|ack)

// sequenceNotZero matches a TCP segment with another sequence number than 0.
var sequenceNotZero = statement{"tcp sequence != 0", []expr.Any{
	&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 4, Len: 4},
	&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
}}

// noConnection matches a TCP segment that arrives for a service and belongs to none of its connections: the socket
// found is one that listens at all addresses. A connection's own has its address.
var noConnection = statement{"socket wildcard 1", []expr.Any{
	&expr.Socket{Key: expr.SocketKeyWildcard, Register: register}, is([]byte{1}),
}}

// fragment4 matches an IPv4 packet that is a part of another one: an offset, or more to come (RFC 791).
var fragment4 = statement{"ip frag-off & 16383 != 0", append(ipv4.isFamily(),
	&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 2},
	&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 2, Mask: []byte{0x3f, 0xff}, Xor: []byte{0, 0}},
	&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{0, 0}},
)}

// passesThrough matches, at postrouting, a packet that has come in by an interface.
var passesThrough = statement{"iif != 0", []expr.Any{
	&expr.Meta{Key: expr.MetaKeyIIF, Register: register},
	&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: hostUint32(0)},
}}

// longerThan matches a packet of more than n bytes.
func longerThan(n uint32) statement {
	return statement{fmt.Sprintf("meta length > %d", n), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: register},
		// Numbers are compared byte by byte, from the first on.
		&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpGt, Register: register, Data: binaryutil.BigEndian.PutUint32(n)},
	}}
}

// exceptOneIn matches all packets but one of n, by chance.
func exceptOneIn(n uint32) statement {
	return statement{fmt.Sprintf("numgen random mod %d != 0", n), []expr.Any{
		&expr.Numgen{Register: register, Modulus: n, Type: unix.NFT_NG_RANDOM},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: hostUint32(0)},
	}}
}

// isPriority matches a packet's priority, which nft writes as a class of tc(8).
func isPriority(p uint32) statement {
	return statement{"meta priority " + class(p), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register}, is(hostUint32(p)),
	}}
}

// setPriority gives a packet a priority.
func setPriority(p uint32) statement {
	return statement{"meta priority set " + class(p), []expr.Any{
		&expr.Immediate{Register: register, Data: hostUint32(p)},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register, SourceRegister: true},
	}}
}

func class(p uint32) string {
	if p == 0 {
		return "none"
	}
	return fmt.Sprintf("%x:%x", p>>16, p&0xffff)
}

// count counts a packet by a counter of the table.
func count(name string) statement {
	return statement{fmt.Sprintf("counter name %q", name), []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}}}
}

// fibDaddrUnicast matches a destination that is another host, and neither this
// one nor a broadcast or multicast address it listens to.
func fibDaddrUnicast() statement {
	return statement{"fib daddr type unicast", []expr.Any{
		&expr.Fib{Register: register, FlagDADDR: true, ResultADDRTYPE: true}, is(hostUint32(unix.RTN_UNICAST)),
	}}
}

// fibSaddrLocal matches a source that is this host.
func fibSaddrLocal() statement {
	return statement{"fib saddr type local", []expr.Any{
		&expr.Fib{Register: register, FlagSADDR: true, ResultADDRTYPE: true}, is(hostUint32(unix.RTN_LOCAL)),
	}}
}

// saddrIn matches a source among a set's.
func saddrIn(f family, set string) statement {
	return statement{fmt.Sprintf("%s saddr @%s", f.keyword, set), append(f.isFamily(),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.saddr, Len: f.addrLen},
		&expr.Lookup{SourceRegister: register, SetName: set},
	)}
}

// isFamily matches the family, which the text of what follows implies.
func (f family) isFamily() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, is([]byte{f.nfproto})}
}

// limit matches while no more than rate packets a second come, after a burst.
func limit(rate uint64, burst uint32) statement {
	return statement{fmt.Sprintf("limit rate %d/second burst %d packets", rate, burst), []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: rate, Unit: expr.LimitTimeSecond, Burst: burst},
	}}
}

// limitOver matches what comes beyond the rate and the burst.
func limitOver(rate uint64, burst uint32) statement {
	return statement{fmt.Sprintf("limit rate over %d/second burst %d packets", rate, burst), []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: rate, Unit: expr.LimitTimeSecond, Burst: burst, Over: true},
	}}
}

// overLimit matches a source, by as much of its address as mask leaves, of which more
// than rate packets a second have come, after a burst of as many. The sources are
// kept in a set of their own: when that is full, the packets of others do not match.
func overLimit(f family, set string, rate uint32) statement {
	key := fmt.Sprintf("%s saddr", f.keyword)
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, is([]byte{f.nfproto}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.saddr, Len: f.addrLen},
	}
	if f == ipv6 {
		key += " & ffff:ffff:ffff:ffff::"
		mask := make([]byte, f.addrLen)
		copy(mask, bytes.Repeat([]byte{0xff}, 8))
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: register, DestRegister: register, Len: f.addrLen, Mask: mask, Xor: make([]byte, f.addrLen),
		})
	}
	exprs = append(exprs, &expr.Dynset{
		SrcRegKey: register, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE,
		Exprs: []expr.Any{
			&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(rate), Unit: expr.LimitTimeSecond, Burst: rate, Over: true},
		},
	})
	return statement{fmt.Sprintf("update @%s { %s limit rate over %d/second burst %d packets }", set, key, rate, rate), exprs}
}

// logTo copies the first bytes of a packet to an NFLOG group, which hands over
// what it has gathered when it is threshold packets.
func logTo(group uint16, snaplen uint32, threshold uint16) statement {
	return statement{fmt.Sprintf("log group %d snaplen %d queue-threshold %d", group, snaplen, threshold), []expr.Any{
		&expr.Log{
			Key:     1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD,
			Group:   group,
			Snaplen: snaplen, QThreshold: threshold,
		},
	}}
}
