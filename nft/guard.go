package nft

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/knock"
)

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
