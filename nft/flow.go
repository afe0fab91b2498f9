package nft

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// What is up is remembered by the table itself. Connection tracking would have to be
// asked, which makes the kernel track every connection of the host, and it can be lied
// to: it takes a stray segment for a connection, and one with a forged source for the answer.
//
// It remembers what this host has sent, as nobody else can send that: its SYN-ACK begins a connection, its
// data say that the connection exists, its FIN and its RST that it is over. What arrives may be
// forged, and makes no entry of TCP, and ends none. So a stranger fills no memory and cuts nothing off.
//
// The times are those of connection tracking (net/netfilter/nf_conntrack_proto_tcp.c,
// nf_conntrack_proto_udp.c), but for these: a flow of UDP lives as long as WireGuard's keys, and a connection in
// which this host has said nothing yet has longer than TCP's keepalive takes (tcp(7), tcp_keepalive_time).
const (
	flowsAtOnce    = 65535              // in each set
	beginTimeout   = time.Minute        // after a SYN-ACK, or a first datagram, and until something follows
	quietTimeout   = 3 * time.Hour      // TCP: after the last segment, as long as this host has sent no data
	upTimeout      = 5 * 24 * time.Hour // TCP: after the last segment of this host
	closingTimeout = 2 * time.Minute    // TCP: after this host has sent its FIN
	udpTimeout     = 3 * time.Minute    // UDP: after the last datagram either way

	// Somebody may pretend to be a source that is let in, from all its ports. So first datagrams are remembered
	// at this rate; what goes beyond is let in as well, and remembered when something follows.
	beginRate  = 100 // a second
	beginBurst = 1000

	// Large packets come in great numbers, and to look an entry up takes half as long as
	// to renew it too. So one in renewOne of them renews its entry, and every small one.
	largeLength = 512 // bytes
	renewOne    = 16
)

// The names of the sets of flows, without the suffix of a flowKey.
const (
	upSets      = "up"
	begunSets   = "begun"
	closingSets = "closing"
)

// A flowKey is how a connection, or a flow of datagrams, is known in the sets of flows: its
// addresses, its ports, and the protocol. With a link-local peer it is the interface instead of this host's
// address: nft has at most five parts in a key.
type flowKey struct {
	family
	suffix string // of set names
	link   bool
}

var (
	flow4     = flowKey{ipv4, ipv4.suffix, false}
	flow6     = flowKey{ipv6, ipv6.suffix, false}
	flow6Link = flowKey{ipv6, ipv6.suffix + "_link", true}

	flowKeys = []flowKey{flow4, flow6, flow6Link}
)

// A direction is which end of a packet is the peer's.
type direction int

const (
	inbound direction = iota
	outbound
)

func (k flowKey) keyType() nftables.SetDatatype {
	port, proto := nftables.TypeInetService, nftables.TypeInetProto
	if k.link {
		return concat(k.family.keyType, port, port, proto, nftables.TypeIFName)
	}
	return concat(k.family.keyType, port, k.family.keyType, port, proto)
}

// load puts a packet's key into the registers from the first on, each part at the start of
// a register of 4 bytes.
func (k flowKey) load(d direction) (text string, exprs []expr.Any) {
	saddr, daddr := addrPart(k.keyword+" saddr", k.saddr, k.addrLen), addrPart(k.keyword+" daddr", k.saddr+k.addrLen, k.addrLen)
	sport, dport, l4proto := portPart("sport"), portPart("dport"), metaPart("meta l4proto", expr.MetaKeyL4PROTO, 1)
	var parts []part
	switch {
	case k.link && d == inbound:
		parts = []part{saddr, sport, dport, l4proto, metaPart("iifname", expr.MetaKeyIIFNAME, unix.IFNAMSIZ)}
	case k.link:
		parts = []part{daddr, dport, sport, l4proto, metaPart("oifname", expr.MetaKeyOIFNAME, unix.IFNAMSIZ)}
	case d == inbound:
		parts = []part{saddr, sport, daddr, dport, l4proto}
	default:
		parts = []part{daddr, dport, saddr, sport, l4proto}
	}
	register := uint32(unix.NFT_REG32_00)
	var texts []string
	for _, p := range parts {
		texts, exprs = append(texts, p.text), append(exprs, p.load(register))
		register += (p.len + 3) / 4
	}
	return strings.Join(texts, " . "), exprs
}

// A part is a part of a key.
type part struct {
	text string
	len  uint32 // in bytes
	load func(register uint32) expr.Any
}

func addrPart(text string, offset, length uint32) part {
	return part{text, length, func(register uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
	}}
}

func portPart(name string) part {
	return part{"th " + name, 2, func(register uint32) expr.Any { return loadPort(name, register) }}
}

func metaPart(text string, key expr.MetaKey, length uint32) part {
	return part{text, length, func(register uint32) expr.Any { return &expr.Meta{Key: key, Register: register} }}
}

// in matches a packet whose flow is in the sets of that name.
func (k flowKey) in(sets string, d direction) statement {
	text, exprs := k.load(d)
	exprs = append(k.isFamily(), exprs...)
	return statement{fmt.Sprintf("%s @%s%s", text, sets, k.suffix), append(exprs, &expr.Lookup{
		SourceRegister: unix.NFT_REG32_00, SetName: sets + k.suffix,
	})}
}

// remember is change where an entry may be new: that of a link-local peer is for the sets of links alone.
func (k flowKey) remember(op flowOp, sets string, d direction, timeout time.Duration) statement {
	s := k.change(op, sets, d, timeout)
	if k.family != ipv6 {
		return s
	}
	which := peerIsLinkLocal(d, k.link)
	return statement{which.text + " " + s.text, append(which.exprs, s.exprs[len(k.isFamily()):]...)}
}

// change adds a packet's flow to the sets of that name, renews it or deletes it. A rule ends where
// the set is full.
func (k flowKey) change(op flowOp, sets string, d direction, timeout time.Duration) statement {
	text, exprs := k.load(d)
	exprs = append(k.isFamily(), exprs...)
	if timeout != 0 {
		text += " timeout " + shortDuration(timeout)
	}
	return statement{fmt.Sprintf("%s @%s%s { %s }", op, sets, k.suffix, text), append(exprs, &expr.Dynset{
		SrcRegKey: unix.NFT_REG32_00, SetName: sets + k.suffix, Operation: uint32(op), Timeout: timeout,
	})}
}

// A flowOp is what a rule does with an entry of a set.
type flowOp uint32

const (
	addFlow    flowOp = unix.NFT_DYNSET_OP_ADD // an entry that is there keeps its time
	updateFlow flowOp = unix.NFT_DYNSET_OP_UPDATE
	deleteFlow flowOp = 2 // NFT_DYNSET_OP_DELETE, since Linux 5.4
)

func (op flowOp) String() string {
	return map[flowOp]string{addFlow: "add", updateFlow: "update", deleteFlow: "delete"}[op]
}

// shortDuration writes a duration as nft does: 5d, 3h, 1m.
func shortDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// The chains that have to do with what is up.
const (
	upTCPChain       = "up_tcp"
	upUDPChain       = "up_udp"
	admitChain       = "admit"
	alwaysAllowChain = "always_allow"
)

// addFlows adds the sets of what is up, and the chains that look into them and write them.
func (r *Ruleset) addFlows(interfaces []string) {
	for _, k := range flowKeys {
		for _, s := range []struct{ name, comment string }{
			{upSets, "connections and flows that go on"},
			{begunSets, "connections in which this host has sent no data yet"},
			{closingSets, "connections that this host has ended"},
		} {
			r.addSet(&set{name: s.name + k.suffix, comment: s.comment, keyType: k.keyType(), dynamic: true, size: flowsAtOnce})
		}
	}
	r.addUp()
	r.addAdmit()
	r.addSent(interfaces)
}

// addUp adds the chains that let pass what is up. They return if it is not.
func (r *Ruleset) addUp() {
	c := r.addChain(upTCPChain)
	for _, k := range flowKeys {
		c.add("is up", k.in(upSets, inbound), goTo(admitChain))
	}
	for _, k := range flowKeys {
		c.add("has begun", k.in(begunSets, inbound), k.change(updateFlow, begunSets, inbound, quietTimeout), goTo(admitChain))
	}
	for _, k := range flowKeys {
		c.add("what ends comes to its end", k.in(closingSets, inbound),
			k.change(updateFlow, closingSets, inbound, closingTimeout), goTo(admitChain))
	}

	c = r.addChain(upUDPChain)
	for _, k := range flowKeys {
		c.add("a large one is looked up, and seldom renewed", longerThan(largeLength), exceptOneIn(renewOne),
			k.in(upSets, inbound), goTo(admitChain))
	}
	for _, k := range flowKeys {
		c.add("what is up stays up", k.in(upSets, inbound), k.change(updateFlow, upSets, inbound, udpTimeout), goTo(admitChain))
	}
}

// admitted is the priority (tc(8)) of a packet that the gate has admitted, so that it is not
// judged a second time where it is delivered, and that a latch lets it pass. A packet that
// a tunnel (VXLAN, IPsec) has unpacked has that of the packet that it came in: the gate takes it away.
const admitted = 0x7022_0000

// addAdmit adds the chain where what may pass leaves the table.
func (r *Ruleset) addAdmit() {
	c := r.addChain(admitChain)
	c.add("need not be judged again where it is delivered", setPriority(admitted), accept)
}

// priorityBeforeRaw is that of what watches this host's packets: before chain answers gives those their port
// that the stack sends for a port that is shut. They say nothing of a connection.
var priorityBeforeRaw = priority{"raw - 1", nftables.ChainPriorityRef(*nftables.ChainPriorityRaw - 1)}

// priorityAfterNAT is where an answer of a container has the port again that is published.
var priorityAfterNAT = priority{"srcnat + 1", nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource + 1)}

// addSent adds what watches what leaves from guarded ports: this host's own packets, at output, and behind the
// translation back to a published port the answers of containers. A packet that merely passes through
// may have a forged source. IPv4 throws one away that has this host's address; IPv6 does not.
func (r *Ruleset) addSent(interfaces []string) {
	leaving := r.addChain("leaving")
	sent := &chain{name: "sent", hook: &hook{"output", nftables.ChainHookOutput, priorityBeforeRaw}}
	translated := &chain{name: "translated", hook: &hook{"postrouting", nftables.ChainHookPostrouting, priorityAfterNAT}}
	forged := &chain{name: "forged", hook: &hook{"forward", nftables.ChainHookForward, priorityMangle}}
	r.chains = append(r.chains, sent, translated, forged)
	fromGuarded := portIn("th", "sport", guardedPortsSet)
	sent.add("nothing else is looked at", fromGuarded, goTo(leaving.name))
	translated.add("an answer of a container, from a port of this host", passesThrough, fromGuarded, fibSaddrLocal(), goTo(leaving.name))
	forged.add("is not from this host, and says so", fromGuarded, fibSaddrLocal(), drop)

	comment, other := "to the host itself", oifname("lo")
	if len(interfaces) > 0 {
		comment, other = "not to a guarded interface", oifnameNotIn(interfacesSet)
	}
	leaving.add(comment, other, accept)
	r.addSentUDP(leaving)
	goesOn := tcpFlags("& (fin | syn | rst) == 0x0", 0, fin|syn|rst)
	for _, k := range flowKeys {
		leaving.add("TCP: a large one is looked up, and seldom renews", isTCP, goesOn, longerThan(largeLength), exceptOneIn(renewOne),
			k.in(upSets, outbound), accept)
	}
	for _, k := range flowKeys {
		leaving.add("TCP: what is up stays up", isTCP, goesOn, k.in(upSets, outbound), k.change(updateFlow, upSets, outbound, upTimeout), accept)
	}
	for _, k := range flowKeys {
		leaving.add("TCP: this host begins a connection, or agrees to one", isTCP, tcpFlags("& syn == syn", syn, syn),
			k.change(deleteFlow, closingSets, outbound, 0), k.remember(updateFlow, begunSets, outbound, beginTimeout), accept)
	}
	for _, k := range flowKeys {
		leaving.add("TCP: this host ends a connection", isTCP, tcpFlags("& (fin | rst) == fin", fin, fin|rst),
			k.change(deleteFlow, upSets, outbound, 0), k.change(deleteFlow, begunSets, outbound, 0),
			k.remember(updateFlow, closingSets, outbound, closingTimeout), accept)
	}
	// A RST that answers what belongs to no connection has no ACK, or the sequence number 0 (RFC 9293, section
	// 3.10.7.1), and anybody can ask for one in the name of a connection that is up.
	for _, k := range flowKeys {
		leaving.add("TCP: this host breaks a connection off", isTCP, tcpFlags("& (rst | ack) == rst | ack", rst|ack, rst|ack), sequenceNotZero,
			k.change(deleteFlow, upSets, outbound, 0), k.change(deleteFlow, begunSets, outbound, 0), k.change(deleteFlow, closingSets, outbound, 0))
	}
	leaving.add("TCP: says nothing of a connection", isTCP, tcpFlags("& rst == rst", rst, rst), accept)
	for _, k := range flowKeys {
		leaving.add("TCP: what ends comes to its end", l4proto(knock.TCP), k.in(closingSets, outbound),
			k.change(updateFlow, closingSets, outbound, closingTimeout), accept)
	}
	// The ACK of a connection that is not complete yet can be asked for by anybody; data can not.
	for _, k := range flowKeys {
		leaving.add("TCP: there are data, so it is up", isTCP, tcpFlags("& psh == psh", psh, psh),
			k.remember(addFlow, upSets, outbound, upTimeout), k.change(deleteFlow, begunSets, outbound, 0), accept)
	}
	for _, k := range flowKeys {
		leaving.add("TCP: has begun", l4proto(knock.TCP), k.remember(updateFlow, begunSets, outbound, quietTimeout), accept)
	}
}

func (r *Ruleset) addSentUDP(leaving *chain) {
	numbers := portNumbers(r.guarded, knock.UDP)
	if len(numbers) == 0 {
		return
	}
	ports := r.addPorts(guardedPortsSet+"_udp", "ports that are guarded, UDP", numbers)
	udp, ofGuarded := l4proto(knock.UDP).silent(), portIn("udp", "sport", ports.name)
	for _, k := range flowKeys {
		leaving.add("UDP: a flow goes on", udp, ofGuarded, k.in(upSets, outbound), k.change(updateFlow, upSets, outbound, udpTimeout), accept)
	}
	leaving.add("UDP: too many new ones at once", udp, ofGuarded, limitOver(beginRate, beginBurst), accept)
	for _, k := range flowKeys {
		leaving.add("UDP: this host begins a flow, or answers", udp, ofGuarded, k.remember(addFlow, upSets, outbound, udpTimeout))
	}
}

// addBegin adds to a chain what admits packets of a source that is let in, and remembers flows of UDP, as they may go
// one way only. Where there is no room for that, they pass all the same.
func (r *Ruleset) addBegin(c *chain, comment string, more ...statement) {
	more = append(more, goTo(admitChain))
	c.add(comment+": goes on", isTCP, laterSegment, goTo(admitChain))
	c.add(comment, append([]statement{l4proto(knock.TCP)}, more...)...)
	c.add(comment+"; is remembered when something follows", append([]statement{limitOver(beginRate, beginBurst)}, more...)...)
	for _, k := range flowKeys {
		c.add(comment, append([]statement{k.remember(addFlow, upSets, inbound, beginTimeout)}, more...)...)
	}
	c.add(comment+", and there is no room to remember it", more...)
}
