package nft

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/knock"
)

// A Spec says what a table has to do.
type Spec struct {
	Table       string // its name, in family inet
	NFLogGroup  uint16
	Interfaces  []string       // what to guard; empty: everything but loopback
	AlwaysAllow []netip.Prefix // without overlaps
	PerSource   uint32         // how many knocks a second of one source are logged
	Doors       []knock.Door
	Decoys      []knock.Port // logged like knock ports, and not told from them
}

// A Ruleset is the whole of a table: a value that can print itself as an nft
// script, and that Open installs.
type Ruleset struct {
	name   string
	group  uint16
	doors  map[string]*knock.Door
	sets   []*set
	chains []*chain
}

type chain struct {
	name  string
	base  bool // hooked into prerouting
	rules []rule
}

type rule struct {
	comment    string
	statements []statement
}

func (c *chain) add(comment string, statements ...statement) {
	c.rules = append(c.rules, rule{comment, statements})
}

// How knocks are logged. The kernel hands a group's packets over in batches,
// which costs a second at its defaults; a batch of one costs a message for
// every packet of a flood. So: at once as long as few come, then in batches of
// what the listener's group is set to. 128 bytes are the longest IPv4 header,
// or IPv6 with a few extension headers, and the start of TCP.
const (
	snaplen        = 128 // bytes
	promptRate     = 500
	promptBurst    = 100
	promptBatch    = 1  // packets
	floodBatch     = 64 // packets
	floodBatchWait = 1  // how long a batch may take to fill, in 1/100 s

	loudSources = 65535            // whose rate is known at once
	loudMemory  = 10 * time.Second // how long after a source's last packet its rate is forgotten
)

// NewRuleset returns the table that does what spec says.
func NewRuleset(spec Spec) *Ruleset {
	r := &Ruleset{name: spec.Table, group: spec.NFLogGroup, doors: make(map[string]*knock.Door)}

	gate, ours := &chain{name: "gate", base: true}, &chain{name: "ours"}
	r.chains = []*chain{gate, ours}
	r.addGate(gate, ours, spec)
	r.addInterfaces(ours, spec.Interfaces)
	r.addKnocks(ours, spec)
	r.addExempt(spec.AlwaysAllow)
	r.addGuards(ours, spec.Doors)
	for i := range spec.Doors {
		r.addDoor(&spec.Doors[i])
	}
	return r
}

// addGate adds what every packet meets. For those that are none of our business one
// look at a port is all, so the ports are in a set that has them all: the kernel makes a
// bitmap of it.
func (r *Ruleset) addGate(gate, ours *chain, spec Spec) {
	numbers := portNumbers(append(spec.knockPorts(), guardedPorts(spec.Doors)...), knock.TCP, knock.UDP)
	if len(numbers) > 0 {
		s := r.addPorts("ports", "all ports that the table looks at", numbers)
		gate.add("all the rest passes", dportIn("th", s.name), toChain(ours.name))
	}
	if s := r.addCodePorts(spec.Doors); s != nil {
		gate.add("one-time codes", dportIn("th", s.name), toChain(ours.name))
	}
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

func (r *Ruleset) addSet(s *set) *set {
	r.sets = append(r.sets, s)
	return s
}

func (r *Ruleset) addChain(name string) *chain {
	c := &chain{name: name}
	r.chains = append(r.chains, c)
	return c
}

func (r *Ruleset) addInterfaces(ours *chain, names []string) {
	if len(names) == 0 {
		ours.add("the host itself", iifname("lo"), accept)
		return
	}
	guarded := r.addSet(&set{name: "interfaces", comment: "guarded interfaces", keyType: nftables.TypeIFName})
	for _, name := range names {
		guarded.elements = append(guarded.elements, interfaceElement(name))
	}
	ours.add("not a guarded interface", iifnameNotIn(guarded.name), accept)
}

// addPorts adds a set of ports.
func (r *Ruleset) addPorts(name, comment string, numbers []uint16) *set {
	s := &set{name: name, comment: comment, keyType: nftables.TypeInetService}
	for _, number := range numbers {
		s.elements = append(s.elements, portElement(number, ""))
	}
	return r.addSet(s)
}

// addKnocks adds what logs the knocks.
func (r *Ruleset) addKnocks(ours *chain, spec Spec) {
	knocks := r.addChain("knock")
	knocks.add("on its way to another host", fibDaddrUnicast(), toOuter)
	for _, f := range families {
		s := r.addSet(&set{name: "loud" + f.suffix, comment: "how fast each source knocks", keyType: f.keyType, dynamic: true})
		knocks.add("too loud to be listened to", overLimit(f, s.name, spec.PerSource), toOuter)
	}
	knocks.add("at rest: handed over at once",
		limit(promptRate, promptBurst), logTo(r.group, snaplen, promptBatch), toOuter)
	knocks.add("in a flood: handed over in batches", logTo(r.group, snaplen, floodBatch))

	if numbers := portNumbers(spec.knockPorts(), knock.TCP); len(numbers) > 0 {
		s := r.addPorts("knock_tcp", "ports whose SYNs are logged", numbers)
		ours.add("knocks, TCP", l4proto(knock.TCP).silent(), onlySYN, dportIn("tcp", s.name), jump(knocks.name))
	}
	if numbers := portNumbers(spec.knockPorts(), knock.UDP); len(numbers) > 0 {
		s := r.addPorts("knock_udp", "ports whose datagrams are logged", numbers)
		ours.add("knocks, UDP", l4proto(knock.UDP).silent(), dportIn("udp", s.name), jump(knocks.name))
	}
	if slices.ContainsFunc(spec.Doors, func(d knock.Door) bool { return d.CodeBase != 0 }) {
		ours.add("knocks, one-time codes", l4proto(knock.TCP).silent(), onlySYN, dportIn("tcp", codePorts), jump(knocks.name))
	}
}

// silent is for a statement that the text of the next one implies.
func (s statement) silent() statement {
	s.text = ""
	return s
}

var onlySYN = tcpFlags("syn / fin,syn,rst,ack", syn, fin|syn|rst|ack)

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

// addExempt adds what a guarded port lets pass whatever its doors say.
func (r *Ruleset) addExempt(allow []netip.Prefix) {
	exempt := r.addChain("exempt")
	exempt.add("on its way to another host", fibDaddrUnicast(), accept)
	exempt.add("what is up stays up", ctState("established,related", expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept)
	// Connection tracking knows nothing of connections older than itself. It
	// starts with the first table that asks for it, which may be this one, while
	// somebody is logged in. No segment with an ACK begins a connection.
	exempt.add("what was up before the table", l4proto(knock.TCP).silent(), tcpFlags("ack / syn,rst,ack", ack, syn|rst|ack), accept)
	for _, f := range families {
		s := r.addSet(&set{
			name: "always_allow" + f.suffix, comment: "sources that never need to knock", keyType: f.keyType, interval: true,
		})
		for _, p := range allow {
			if familyOf(p.Addr()) == f {
				s.elements = append(s.elements, prefixElement(p))
			}
		}
		exempt.add("never needs to knock", saddrIn(f, s.name), accept)
	}
}

// openSet returns the name of the set of those whom a door lets in.
func openSet(door string, f family) string { return door + "_open" + f.suffix }

// prefixLen returns how many bits of a source's address the door lets in.
func prefixLen(d *knock.Door, f family) int {
	if f == ipv4 {
		return d.IPv4Prefix
	}
	return d.IPv6Prefix
}

func (r *Ruleset) addDoor(d *knock.Door) {
	r.doors[d.Name] = d
	for _, f := range families {
		r.addSet(&set{
			name: openSet(d.Name, f), comment: fmt.Sprintf("door %s: who is let in", d.Name),
			keyType: f.keyType, timeout: true, interval: prefixLen(d, f) < f.bits,
		})
	}
}

// addGuards adds a chain for each guarded port, and the maps that lead there.
func (r *Ruleset) addGuards(ours *chain, doors []knock.Door) {
	byPort := make(map[knock.Port][]*knock.Door)
	for i := range doors {
		for _, port := range doors[i].Ports {
			byPort[port] = append(byPort[port], &doors[i])
		}
	}
	ports := slices.SortedFunc(maps.Keys(byPort), func(a, b knock.Port) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Number, b.Number))
	})
	guards := make(map[knock.Proto]*set)
	for _, port := range ports {
		guard := r.addGuard(port, byPort[port])
		s := guards[port.Proto]
		if s == nil {
			s = r.addSet(&set{
				name: "guard_" + port.Proto.String(), comment: "ports that are guarded, and where that is decided",
				keyType: nftables.TypeInetService, verdicts: true,
			})
			guards[port.Proto] = s
			ours.add("guarded ports, "+strings.ToUpper(port.Proto.String()),
				l4proto(port.Proto).silent(), dportVerdict(port.Proto, s.name))
		}
		s.elements = append(s.elements, portElement(port.Number, guard.name))
	}
}

// How the comments of the rules end whose counters Inspect reads.
const (
	letInComment = ": let in"
	shutComment  = ": shut"
)

// addGuard adds the chain that decides about a port.
func (r *Ruleset) addGuard(port knock.Port, doors []*knock.Door) *chain {
	c := r.addChain(fmt.Sprintf("%s_%d", port.Proto, port.Number))
	c.add("who passes without knocking", jump("exempt"))
	for _, d := range doors {
		for _, f := range families {
			c.add(fmt.Sprintf("door %s%s", d.Name, letInComment), saddrIn(f, openSet(d.Name, f)), counter, accept)
		}
	}
	shut := fmt.Sprintf("door %s%s", doors[0].Name, shutComment)
	if len(doors) > 1 {
		shut = fmt.Sprintf("%d doors%s", len(doors), shutComment)
	}
	switch {
	case doors[0].Shut == knock.Drop:
		c.add(shut, counter, drop)
	case port.Proto == knock.TCP:
		c.add(shut, l4proto(port.Proto), counter, reject(port.Proto))
	default:
		c.add(shut, counter, reject(port.Proto))
	}
	return c
}

// String returns the table as an nft script, in the form of `nft list`.
func (r *Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", r.name)
	for _, s := range r.sets {
		s.script(&b)
	}
	for i, c := range r.chains {
		if i > 0 {
			b.WriteString("\n")
		}
		c.script(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

func (c *chain) script(b *strings.Builder) {
	fmt.Fprintf(b, "\tchain %s {\n", c.name)
	if c.base {
		b.WriteString("\t\ttype filter hook prerouting priority mangle; policy accept;\n")
	}
	for _, rule := range c.rules {
		b.WriteString("\t\t")
		for _, s := range rule.statements {
			if s.text != "" {
				b.WriteString(s.text + " ")
			}
		}
		fmt.Fprintf(b, "comment %q\n", rule.comment)
	}
	b.WriteString("\t}\n")
}
