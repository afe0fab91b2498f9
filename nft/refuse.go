package nft

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A port that is shut by reject is to answer what a closed one answers. nft's own reject comes
// close: its segment has another TOS and no flow label, and it answers a segment with an MD5 option
// too (nf_send_reset, nf_send_reset6). So the kernel's stack answers. It does where nothing
// listens, and nothing can listen on port 0:
//
//	gate      the port becomes 0, so that no rule for it takes the segment elsewhere (DNAT), nor
//	          an old connection of the same addresses and ports (ip_early_demux)
//	readdress the port becomes what it was, for other people's rules of the input hook
//	refused   the port becomes 0 again, when they are through; which it was is remembered
//	answers   the port of the stack's answer becomes what it was, before anybody sees it
//
// On its way the segment bears a priority, which says that it is refused, and until its port is
// there again, which it was. The answer is sent before the next segment is looked at, if there is one: there is none
// to a RST, or to a segment with an MD5 option. So what is remembered is by which port the peer's port was
// refused last; it is changed when another port refuses it, or port 0 answers for itself.
const (
	refusedPort   = admitted    // plus the port, which is not 0
	refusedByGate = 0x7023_0000 // and has its port again

	answerTimeout   = time.Second
	answersAtOnce   = 65535
	refusedPortsMap = "refused_ports"
	answerSets      = "answer_"
	refuseChain     = "refuse"
)

var priorityRaw = priority{"raw", nftables.ChainPriorityRaw}

// refuse gives a segment to a port to chain refuse.
func refuse(port uint16) []statement {
	return []statement{setPriority(refusedPort | uint32(port)), goTo(refuseChain)}
}

// answerSet returns the name of the set of the peers' ports that a port refuses.
func answerSet(port uint16, f family) string {
	return fmt.Sprintf("%s%d_%s", answerSets, port, f.suffix)
}

// addRefuse adds what answers for those ports.
func (r *Ruleset) addRefuse(ports []uint16) {
	names := r.addSet(&set{
		name: refusedPortsMap, comment: "the port of a segment that is refused, by its priority",
		keyType: nftables.TypeClassID, dataType: nftables.TypeInetService,
	})
	for _, port := range ports {
		p := refusedPort | uint32(port)
		names.elements = append(names.elements, element{
			text: fmt.Sprintf("%s : %d", class(p), port), from: hostUint32(p), data: binaryutil.BigEndian.PutUint16(port),
		})
		for _, f := range families {
			r.addSet(&set{
				name: answerSet(port, f), comment: fmt.Sprintf("whom port %d refuses", port), keyType: concat(f.keyType, nftables.TypeInetService),
				dynamic: true, size: answersAtOnce, lasts: answerTimeout,
			})
		}
	}

	c := r.addChain(refuseChain)
	c.add("nothing listens on port 0", isTCP, setPort("dport", 0), accept)
	c.add("cannot be changed", drop)

	readdress := &chain{name: "readdress", hook: &hook{"input", nftables.ChainHookInput, priority{"mangle + 2", nftables.ChainPriorityRef(*nftables.ChainPriorityMangle + 2)}}}
	refused := &chain{name: "refused", hook: &hook{"input", nftables.ChainHookInput, priority{"300", nftables.ChainPriorityRef(300)}}}
	answers := &chain{name: "answers", hook: &hook{"output", nftables.ChainHookOutput, priorityRaw}}
	answer, forget := &chain{name: "answer"}, &chain{name: "forget_answers"}
	r.chains = append(r.chains, readdress, refused, answers, answer, forget)
	readdress.add("refused: has its port again, for other rules", isTCP, portIs("dport", 0), setPortFromPriority(), setPriority(refusedByGate))
	refused.add("refused", isPriority(refusedByGate), goTo(answer.name))
	refused.add("port 0 is asked, and answers for itself", isTCP, portIs("dport", 0), goTo(forget.name))
	each := func(add func(port uint16, f family)) {
		for _, port := range ports {
			for _, f := range families {
				add(port, f)
			}
		}
	}
	// What is deleted stays for a second, and a set has room for some sixteen of one key (rhashtable's
	// elasticity). So nothing is deleted without need.
	each(func(port uint16, f family) {
		answer.add("is refused again", isTCP, portIs("dport", port), answerIn(port, f, inbound), answerChange(updateFlow, port, f), setPort("dport", 0), accept)
	})
	answer.add("may have been refused by another port", jump(forget.name))
	each(func(port uint16, f family) {
		answer.add("is refused", isTCP, portIs("dport", port), answerChange(updateFlow, port, f), setPort("dport", 0), accept)
	})
	answer.add("there is no room to remember the port", drop)
	each(func(port uint16, f family) {
		forget.add("its last answer is over", isTCP, answerChange(deleteFlow, port, f))
	})
	each(func(port uint16, f family) {
		answers.add("the kernel's answer for a port that is shut", isTCP, portIs("sport", 0), answerIn(port, f, outbound), setPort("sport", port), accept)
	})
}

// portIs matches a port of TCP.
func portIs(name string, number uint16) statement {
	return statement{fmt.Sprintf("tcp %s %d", name, number), []expr.Any{loadPort(name, register), is(binaryutil.BigEndian.PutUint16(number))}}
}

// writePort gives a TCP header the port that the register holds, and puts its checksum right.
func writePort(name string) expr.Any {
	const checksum = 16 // its offset (RFC 9293, section 3.1)
	return &expr.Payload{
		OperationType: expr.PayloadWrite, SourceRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: portOffset[name], Len: 2,
		CsumType: expr.CsumTypeInet, CsumOffset: checksum,
	}
}

// setPort gives a segment another port.
func setPort(name string, number uint16) statement {
	return statement{fmt.Sprintf("tcp %s set %d", name, number), []expr.Any{
		&expr.Immediate{Register: register, Data: binaryutil.BigEndian.PutUint16(number)}, writePort(name),
	}}
}

func setPortFromPriority() statement {
	return statement{"tcp dport set meta priority map @" + refusedPortsMap, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register},
		&expr.Lookup{SourceRegister: register, DestRegister: register, IsDestRegSet: true, SetName: refusedPortsMap},
		writePort("dport"),
	}}
}

// loadPeer loads the peer's address and port, and returns how nft writes them.
func loadPeer(f family, d direction) (string, []expr.Any) {
	addr, at, port := "saddr", f.saddr, "sport"
	if d == outbound {
		addr, at, port = "daddr", f.saddr+f.addrLen, "dport"
	}
	return fmt.Sprintf("%s %s . tcp %s", f.keyword, addr, port), append(f.isFamily(),
		&expr.Payload{DestRegister: unix.NFT_REG32_00, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: f.addrLen},
		loadPort(port, unix.NFT_REG32_00+f.addrLen/4),
	)
}

// answerIn matches a packet from a peer that a port refuses, or to it.
func answerIn(port uint16, f family, d direction) statement {
	peer, exprs := loadPeer(f, d)
	name := answerSet(port, f)
	return statement{fmt.Sprintf("%s @%s", peer, name), append(exprs, &expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: name})}
}

// answerChange remembers that a port refuses the peer of a packet, or forgets it.
func answerChange(op flowOp, port uint16, f family) statement {
	peer, exprs := loadPeer(f, inbound)
	name := answerSet(port, f)
	return statement{fmt.Sprintf("%s @%s { %s }", op, name, peer), append(exprs, &expr.Dynset{
		SrcRegKey: unix.NFT_REG32_00, SetName: name, Operation: uint32(op),
	})}
}
