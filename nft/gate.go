package nft

import (
	"slices"
	"time"

	"github.com/google/nftables"

	"nftknock/knock"
)

// How knocks are logged. The kernel hands a group's packets over in batches,
// which costs a second at its defaults; a batch of one costs a message for
// every packet of a flood. So: at once as long as few come, then in batches of
// what the listener's group is set to. 128 bytes are the longest IPv4 header,
// or IPv6 with a few extension headers, and the start of TCP.
const (
	snaplen        = 128 // bytes
	promptRate     = 250
	promptBurst    = 100
	promptBatch    = 1  // packets
	floodBatch     = 64 // packets
	floodBatchWait = 1  // how long a batch may take to fill, in 1/100 s

	rateSets     = "knock_rate"
	ratedSources = 65535            // whose rate is known at once
	rateMemory   = 10 * time.Second // how long after a source's last packet its rate is forgotten
)

// addGate adds what every packet that arrives meets. For those that are none of our business a look at
// what a tunnel may have left and one at a port are all. So the ports are in a set that has
// them all: the kernel makes a bitmap of it.
//
// It stands before dstnat, where a port that a container engine publishes is still itself.
func (r *Ruleset) addGate(dispatch *chain, spec Spec) {
	gate := &chain{name: "gate", hook: &hook{"prerouting", nftables.ChainHookPrerouting, priorityMangle}}
	r.chains = append(r.chains, gate)
	gate.add("came in a tunnel, whose packet was admitted", isPriority(admitted), setPriority(0))
	ports := append(spec.knockPorts(), guardedPorts(spec.Doors)...)
	if spec.PacketPort != 0 {
		ports = append(ports, knock.Port{Number: spec.PacketPort, Proto: knock.UDP})
	}
	numbers := portNumbers(ports, knock.TCP, knock.UDP)
	if len(numbers) > 0 {
		s := r.addPorts("ports", "all ports that the table looks at", numbers)
		gate.add("no other ports are looked at", dportIn("th", s.name), goTo(dispatch.name))
	}
	if s := r.addCodePorts(spec.Doors); s != nil {
		gate.add("one-time codes", dportIn("th", s.name), goTo(dispatch.name))
	}
}

// guardedPortsSet is the name of the set of the ports that doors guard, of either protocol.
const guardedPortsSet = "guarded"

// addDelivered adds what meets every packet that is delivered to this host, by whatever way:
// its port may have been another one at the gate, and its address another host's.
func (r *Ruleset) addDelivered(arrived *chain) {
	s := r.addPorts(guardedPortsSet, "ports that are guarded", portNumbers(r.guarded, knock.TCP, knock.UDP))
	delivered := &chain{name: "delivered", hook: &hook{"input", nftables.ChainHookInput, priorityMangle}}
	r.chains = append(r.chains, delivered)
	delivered.add("no other ports are looked at", dportIn("th", s.name), goTo(arrived.name))

	// Fragments of IPv6 are put together behind this hook. Before Linux 5.11 a first one without ports was, too
	// (RFC 8200, section 4.5, forbids it): a later one, which nobody looks at, would have had them.
	headless := r.addChain("first_fragment")
	delivered.add("first fragments", firstFragment, jump(headless.name))
	headless.add("has no ports to look at", l4protoNot(knock.TCP), l4protoNot(knock.UDP), back)
	headless.add("has its ports", dportNot(0), back)
	headless.add("the ports are to come later", drop)
}

// codePorts is the name of the set of the ports that carry one-time codes.
const codePorts = "code_ports"

// addCodePorts adds the set of the ports that carry one-time codes, if there are any.
func (r *Ruleset) addCodePorts(doors []knock.Door) *set {
	var bases []uint16
	for _, d := range doors {
		if d.CodeBase != 0 {
			bases = append(bases, d.CodeBase)
		}
	}
	if len(bases) == 0 {
		return nil
	}
	slices.Sort(bases)
	s := &set{name: codePorts, comment: "ports that carry one-time codes", keyType: nftables.TypeInetService, interval: true}
	for _, base := range slices.Compact(bases) {
		s.elements = append(s.elements, portRange(base, knock.CodePorts))
	}
	return r.addSet(s)
}

// interfacesSet is the name of the set of the interfaces that are guarded, if not all are.
const interfacesSet = "interfaces"

// addInterfaces adds to chains what accepts packets of interfaces that are not guarded.
func (r *Ruleset) addInterfaces(names []string, chains ...*chain) {
	comment, other := "the host itself", iifname("lo")
	if len(names) > 0 {
		guarded := r.addSet(&set{name: interfacesSet, comment: "guarded interfaces", keyType: nftables.TypeIFName})
		for _, name := range names {
			guarded.elements = append(guarded.elements, interfaceElement(name))
		}
		comment, other = "not a guarded interface", iifnameNotIn(guarded.name)
	}
	for _, c := range chains {
		c.add(comment, other, accept)
	}
}

// addPorts adds a set of ports.
func (r *Ruleset) addPorts(name, comment string, numbers []uint16) *set {
	s := &set{name: name, comment: comment, keyType: nftables.TypeInetService}
	for _, number := range numbers {
		s.elements = append(s.elements, portElement(number, ""))
	}
	return r.addSet(s)
}

// knockChain is the name of the chain that logs knocks.
const knockChain = "knock"

// addKnocks adds what logs the knocks.
func (r *Ruleset) addKnocks(dispatch *chain, spec Spec) {
	knocks := r.addChain(knockChain)
	knocks.addOnlyOnce(r.group)
	for _, f := range families {
		s := r.addSet(&set{name: rateSets + f.suffix, comment: "how fast each source knocks", keyType: f.keyType, dynamic: true, lasts: rateMemory, size: ratedSources})
		knocks.add("too loud to be listened to", overLimit(f, s.name, spec.PerSource), back)
	}
	knocks.add("at rest: handed over at once",
		limit(promptRate, promptBurst), logTo(r.group, snaplen, promptBatch), back)
	knocks.add("in a flood: handed over in batches", logTo(r.group, snaplen, floodBatch))

	if numbers := portNumbers(spec.knockPorts(), knock.TCP); len(numbers) > 0 {
		s := r.addPorts("knock_tcp", "ports whose SYNs are logged", numbers)
		dispatch.add("knocks, TCP", isTCP, onlySYN, dportIn("tcp", s.name), jump(knocks.name))
	}
	if numbers := portNumbers(spec.knockPorts(), knock.UDP); len(numbers) > 0 {
		s := r.addPorts("knock_udp", "ports whose datagrams are logged", numbers)
		dispatch.add("knocks, UDP", l4proto(knock.UDP).silent(), dportIn("udp", s.name), jump(knocks.name))
	}
	if slices.ContainsFunc(spec.Doors, func(d knock.Door) bool { return d.CodeBase != 0 }) {
		dispatch.add("knocks, one-time codes", isTCP, onlySYN, dportIn("tcp", codePorts), jump(knocks.name))
	}
}

// elsewhereChain is the name of the chain that ends what no knock of this host can be.
const elsewhereChain = "elsewhere"

// heard, with the group of the log, is the priority of a packet that was logged. One that comes by a port of a
// VRF comes to prerouting twice, the second time by the VRF's device. Another gate on this host, with
// another group, is to hear it as well.
const heard = 0x7024_0000

// addOnlyOnce adds what a chain that logs begins with: this host's knocks go on, each once. Whether an address
// of a VRF is one of this host's depends on kernel and family. Linux 6.12 (since nft_fib asks as
// l3mdev does) says so both times. Before, an IPv4 address is another host's to it, and an
// IPv6 address nobody's: the first is heard by the VRF's device, the second at once.
func (c *chain) addOnlyOnce(group uint16) {
	here := heard | uint32(group)
	c.add("was heard by a port of its VRF", isPriority(here), setPriority(0), back)
	c.add("to another host, it seems", fibDaddrUnicast(), jump(elsewhereChain))
	c.add("in a VRF it comes here again", setPriority(here))
}

// addElsewhere adds what tells packets to other hosts from those to an address of a VRF.
func (r *Ruleset) addElsewhere() {
	c := r.addChain(elsewhereChain)
	c.add("in a VRF that cannot be told", iifkind("vrf"), back)
	c.add("on its way to another host", accept)
}

// silent is for a statement that the text of the next one implies.
func (s statement) silent() statement {
	s.text = ""
	return s
}

// onlySYN matches a knock. It is written as nft before 1.0 reads it.
var onlySYN = tcpFlags("& (fin | syn | rst | ack) == syn", syn, fin|syn|rst|ack)

// knockPorts returns the ports in all sequences, and the decoys among them.
func (s *Spec) knockPorts() []knock.Port {
	ports := slices.Clone(s.Decoys)
	for _, d := range s.Doors {
		ports = append(append(ports, d.Sequence...), d.CloseSequence...)
	}
	return ports
}

func guardedPorts(doors []knock.Door) []knock.Port {
	var ports []knock.Port
	for _, d := range doors {
		ports = append(ports, d.Ports...)
	}
	return ports
}

// portNumbers returns those ports that are of the protocols, in order, each once.
func portNumbers(ports []knock.Port, protocols ...knock.Proto) []uint16 {
	var numbers []uint16
	for _, port := range ports {
		if slices.Contains(protocols, port.Proto) {
			numbers = append(numbers, port.Number)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}
