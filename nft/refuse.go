package nft

import (
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/knock"
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
// there again, which it was. From refused to answers no other packet comes in between on the same processor.
const (
	refusedPort   = admitted    // plus the port, which is not 0
	refusedByGate = 0x7023_0000 // and has its port again

	answerTimeout   = 2 * time.Second // for a segment that is not answered; one that is leaves nothing
	answersAtOnce   = 65535
	refusedPortsMap = "refused_ports"
	answerMaps      = "answer"
	refuseChain     = "refuse"
)

var priorityRaw = priority{"raw", nftables.ChainPriorityRaw}

// refuse gives a segment to a port to chain refuse.
func refuse(port uint16) []statement {
	return []statement{setPriority(refusedPort | uint32(port)), goTo(refuseChain)}
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
	}
	for _, f := range families {
		r.addSet(&set{
			name: answerMaps + f.suffix, comment: "the port that answers whom", keyType: f.keyType, dataType: nftables.TypeInetService,
			dynamic: true, size: answersAtOnce, lasts: answerTimeout,
		})
	}

	c := r.addChain(refuseChain)
	c.add("nothing listens on port 0", isTCP, setPort("dport"), accept)
	c.add("cannot be changed", drop)

	readdress := &chain{name: "readdress", hook: &hook{"input", nftables.ChainHookInput, priority{"mangle + 2", nftables.ChainPriorityRef(*nftables.ChainPriorityMangle + 2)}}}
	refused := &chain{name: "refused", hook: &hook{"input", nftables.ChainHookInput, priority{"300", nftables.ChainPriorityRef(300)}}}
	answers := &chain{name: "answers", hook: &hook{"output", nftables.ChainHookOutput, priorityRaw}}
	answer := &chain{name: "answer"}
	r.chains = append(r.chains, readdress, refused, answers, answer)
	readdress.add("refused: has its port again, for other rules", isTCP, portIs("dport", 0), setPortFromPriority(), setPriority(refusedByGate))
	refused.add("refused", isPriority(refusedByGate), goTo(answer.name))
	// What a map has is not overwritten, so it is deleted first if it may be another port. Not without need: what is
	// deleted stays for a second, and the map has room for some sixteen of one key (rhashtable's elasticity).
	for _, f := range families {
		statements := []statement{isTCP}
		if len(ports) > 1 {
			statements = append(statements, answerChange(f, deleteFlow, inbound, "dport"))
		}
		answer.add("nothing listens on port 0", append(statements, answerChange(f, updateFlow, inbound, "dport"), setPort("dport"), accept)...)
	}
	answer.add("there is no room to remember the port", l4proto(knock.TCP), reject(knock.TCP))
	for _, f := range families {
		statements := []statement{isTCP, portIs("sport", 0), setPortFromAnswer(f)}
		if len(ports) > 1 {
			statements = append(statements, answerChange(f, deleteFlow, outbound, "sport"))
		}
		answers.add("the kernel's answer for a port that is shut", statements...)
	}
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

// setPort makes a port 0.
func setPort(name string) statement {
	return statement{fmt.Sprintf("tcp %s set 0", name), []expr.Any{&expr.Immediate{Register: register, Data: []byte{0, 0}}, writePort(name)}}
}

func setPortFromPriority() statement {
	return statement{"tcp dport set meta priority map @" + refusedPortsMap, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: register},
		&expr.Lookup{SourceRegister: register, DestRegister: register, IsDestRegSet: true, SetName: refusedPortsMap},
		writePort("dport"),
	}}
}

// loadPeer loads the peer's address and then a port, and returns how nft writes the first.
func loadPeer(f family, d direction, portName string) (string, []expr.Any) {
	name, at := "saddr", f.saddr
	if d == outbound {
		name, at = "daddr", f.saddr+f.addrLen
	}
	return f.keyword + " " + name, []expr.Any{
		&expr.Payload{DestRegister: unix.NFT_REG32_00, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: f.addrLen},
		loadPort(portName, unix.NFT_REG32_00+f.addrLen/4),
	}
}

// answerChange remembers or forgets which port the answer to a peer is to come from. What a map
// has is not overwritten.
func answerChange(f family, op flowOp, d direction, portName string) statement {
	addr, exprs := loadPeer(f, d, portName)
	exprs = append(f.isFamily(), exprs...)
	return statement{fmt.Sprintf("%s @%s%s { %s : tcp %s }", op, answerMaps, f.suffix, addr, portName), append(exprs, &expr.Dynset{
		SrcRegKey: unix.NFT_REG32_00, SrcRegData: unix.NFT_REG32_00 + f.addrLen/4, SetName: answerMaps + f.suffix, Operation: uint32(op),
	})}
}

// setPortFromAnswer gives an answer the port that it is to come from.
func setPortFromAnswer(f family) statement {
	addr, exprs := loadPeer(f, outbound, "sport")
	return statement{fmt.Sprintf("tcp sport set %s map @%s%s", addr, answerMaps, f.suffix), append(f.isFamily(), exprs[0],
		&expr.Lookup{SourceRegister: unix.NFT_REG32_00, DestRegister: register, IsDestRegSet: true, SetName: answerMaps + f.suffix},
		writePort("sport"))}
}
