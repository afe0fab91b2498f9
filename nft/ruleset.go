package nft

import (
	"fmt"
	"net/netip"
	"strings"

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

// NewRuleset returns the table that does what spec says.
func NewRuleset(spec Spec) *Ruleset {
	r := &Ruleset{name: spec.Table, group: spec.NFLogGroup, doors: make(map[string]*knock.Door)}

	gate, ours := &chain{name: "gate", base: true}, &chain{name: "ours"}
	r.chains = []*chain{gate, ours}
	r.addGate(gate, ours, spec)
	r.addInterfaces(ours, spec.Interfaces)
	r.addPackets(ours, spec.PacketPort)
	r.addKnocks(ours, spec)
	r.addExempt(spec.AlwaysAllow)
	r.addGuards(ours, spec.Doors)
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
