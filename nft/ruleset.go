package nft

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"

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
	PacketPort  uint16       // the UDP port of single packet authorization; 0: none
}

// A Ruleset is the whole of a table: a value that can print itself as an nft
// script, and that Open installs.
type Ruleset struct {
	name   string
	group  uint16
	doors  map[string]*knock.Door
	sets   []*set
	chains []*chain

	counters   []string // their names
	guarded    []knock.Port
	interfaces []string // whose packets are guarded; empty: all but loopback's
}

type chain struct {
	name  string
	hook  *hook // nil: other chains lead here
	rules []rule
}

// A hook is where in a packet's way through the kernel a chain stands.
type hook struct {
	name     string
	number   *nftables.ChainHook
	priority priority
}

// A priority is where a chain stands among those of the same hook: the lower the earlier.
type priority struct {
	name   string
	number *nftables.ChainPriority
}

var priorityMangle = priority{"mangle", nftables.ChainPriorityMangle}

type rule struct {
	comment    string
	statements []statement
}

func (c *chain) add(comment string, statements ...statement) {
	c.rules = append(c.rules, rule{comment, statements})
}

// NewRuleset returns the table that does what spec says.
func NewRuleset(spec Spec) *Ruleset {
	r := &Ruleset{name: spec.Table, group: spec.NFLogGroup, doors: make(map[string]*knock.Door)}

	r.guarded, r.interfaces = guardedPorts(spec.Doors), spec.Interfaces
	dispatch, arrived, judge := &chain{name: "dispatch"}, &chain{name: "arrived"}, &chain{name: "judge"}
	r.addGate(dispatch, spec)
	r.addDelivered(arrived)
	r.chains = append(r.chains, dispatch, arrived)
	r.addInterfaces(spec.Interfaces, dispatch, arrived)
	r.addPackets(dispatch, spec.PacketPort)
	r.addKnocks(dispatch, spec)
	r.addElsewhere()
	dispatch.add("no more than a knock port", dportNotIn("th", guardedPortsSet), accept)
	dispatch.add("a fragment: the whole is judged where it is delivered", fragment4, accept)
	arrived.add("TCP: belongs to no connection, so it may begin one", isTCP, laterSegment, noConnection, goTo(judge.name))
	arrived.add("was admitted at the gate", isPriority(admitted), accept)
	for _, c := range []*chain{dispatch, arrived} {
		c.add("TCP: goes on, if it is up", isTCP, laterSegment, jump(upTCPChain))
		c.add("UDP: goes on, if it is up", l4proto(knock.UDP), jump(upUDPChain))
	}
	dispatch.add("on its way to another host", fibDaddrUnicast(), accept)
	for _, c := range []*chain{dispatch, arrived} {
		c.add("for the doors to judge", jump(judge.name))
	}
	r.addFlows(spec.Interfaces)
	r.chains = append(r.chains, judge)
	r.addAlwaysAllow(judge, spec.AlwaysAllow)
	r.addGuards(judge, spec.Doors)
	for i := range spec.Doors {
		r.addDoor(&spec.Doors[i])
	}
	return r
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

// String returns the table as an nft script, in the form of `nft list`.
func (r *Ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", r.name)
	for _, name := range r.counters {
		fmt.Fprintf(&b, "\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n\n", name)
	}
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
	if c.hook != nil {
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %s; policy accept;\n", c.hook.name, c.hook.priority.name)
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
