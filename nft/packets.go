package nft

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"nftknock/knock"
	"nftknock/knock/spa"
)

const (
	udpHeaderSize = 8 // bytes (RFC 768)

	// packetSnaplen is enough for the longest packet of single packet authorization behind
	// the longest IPv4 header, or IPv6 with a few extension headers, in bytes.
	packetSnaplen = 80 + udpHeaderSize + spa.MaxSize
)

// addPackets adds what logs the packets of single packet authorization, whole. Their source
// proves nothing, so it is not asked how many it sends: anybody could use up somebody
// else's share.
func (r *Ruleset) addPackets(dispatch *chain, port uint16) {
	if port == 0 {
		return
	}
	packets := r.addChain("packet")
	packets.addOnlyOnce(r.group)
	packets.add("at rest: handed over at once",
		limit(promptRate, promptBurst), logTo(r.group, packetSnaplen, promptBatch), back)
	packets.add("in a flood: handed over in batches", logTo(r.group, packetSnaplen, floodBatch))

	dispatch.add("single packet authorization", l4proto(knock.UDP).silent(), udpPort(port),
		udpLength(udpHeaderSize+spa.MinSize, udpHeaderSize+spa.MaxSize), jump(packets.name))
}

// udpPort matches a destination port, in a rule that has matched the protocol.
func udpPort(number uint16) statement {
	return statement{fmt.Sprintf("udp dport %d", number), []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		is(binaryutil.BigEndian.PutUint16(number)),
	}}
}

// udpLength matches datagrams whose length, with their header, is from least to most bytes.
func udpLength(least, most int) statement {
	return statement{fmt.Sprintf("udp length %d-%d", least, most), []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 4, Len: 2},
		&expr.Cmp{Op: expr.CmpOpGte, Register: register, Data: binaryutil.BigEndian.PutUint16(uint16(least))},
		&expr.Cmp{Op: expr.CmpOpLte, Register: register, Data: binaryutil.BigEndian.PutUint16(uint16(most))},
	}}
}
