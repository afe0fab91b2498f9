package nft

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"

	"nftknock/knock"
)

// addAlwaysAllow adds what lets sources pass that never need to knock. Their connections are
// remembered like others', so that they go on when a source is not among these any more.
func (r *Ruleset) addAlwaysAllow(judge *chain, allow []netip.Prefix) {
	c := r.addChain(alwaysAllowChain)
	for _, f := range families {
		s := r.addSet(&set{
			name: "always_allow" + f.suffix, comment: "sources that never need to knock", keyType: f.keyType, interval: true,
		})
		for _, p := range allow {
			if familyOf(p.Addr()) == f {
				s.elements = append(s.elements, prefixElement(p))
			}
		}
		judge.add("never needs to knock", saddrIn(f, s.name), goTo(c.name))
	}
	r.addBegin(c, "never needs to knock")
}

// doorChain returns the name of the chain for what a door lets in.
func doorChain(door string) string { return "door_" + door }

// grantedCounter returns the name of the counter of what a door has let in: connections, and
// flows of datagrams.
func grantedCounter(door string) string { return door + "_granted" }

// shutCounter returns the name of the counter of the packets to a port that no door let in.
func shutCounter(port knock.Port) string { return guardChain(port) + "_shut" }

// guardChain returns the name of the chain that decides about a port.
func guardChain(port knock.Port) string { return fmt.Sprintf("%s_%d", port.Proto, port.Number) }

// prefixLen returns how many bits of a source's address the door lets in.
func prefixLen(d *knock.Door, f family) int {
	if f == ipv4 {
		return d.IPv4Prefix
	}
	return d.IPv6Prefix
}

func (r *Ruleset) addDoor(d *knock.Door) {
	r.doors[d.Name] = d
	c := r.addChain(doorChain(d.Name))
	r.counters = append(r.counters, grantedCounter(d.Name))
	r.addBegin(c, fmt.Sprintf("door %s: let in", d.Name), count(grantedCounter(d.Name)))
	r.addGrantSets(d)
}

// addGuards adds a chain for each guarded port, and the maps that lead there.
func (r *Ruleset) addGuards(judge *chain, doors []knock.Door) {
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
	var refused []uint16
	for _, port := range ports {
		guard := r.addGuard(port, byPort[port])
		s := guards[port.Proto]
		if s == nil {
			s = r.addSet(&set{
				name: "guard_" + port.Proto.String(), comment: "ports that are guarded, and where that is decided",
				keyType: nftables.TypeInetService, verdicts: true,
			})
			guards[port.Proto] = s
			judge.add("guarded ports, "+strings.ToUpper(port.Proto.String()),
				l4proto(port.Proto).silent(), dportVerdict(port.Proto, s.name))
		}
		s.elements = append(s.elements, portElement(port.Number, guard.name))
		if port.Proto == knock.TCP && byPort[port][0].Shut == knock.Reject {
			refused = append(refused, port.Number)
		}
	}
	if len(refused) > 0 {
		r.addRefuse(refused)
	}
}

// addGuard adds the chain that decides about a port, of what is not up: what may begin a connection always
// comes here. Nothing of a stranger's has another way in.
func (r *Ruleset) addGuard(port knock.Port, doors []*knock.Door) *chain {
	c := r.addChain(guardChain(port))
	for _, d := range doors {
		for _, source := range []statement{
			saddrIn(ipv4, openSet(d.Name, ipv4)), saddrIn(ipv4, wideSet(d.Name, ipv4)),
			saddrIn(ipv6, openSet(d.Name, ipv6)), saddrIn(ipv6, wideSet(d.Name, ipv6)), saddrOnLinkIn(linkSet(d.Name)),
		} {
			c.add(fmt.Sprintf("door %s: let in", d.Name), source, goTo(doorChain(d.Name)))
		}
	}
	shut := fmt.Sprintf("door %s: shut", doors[0].Name)
	if len(doors) > 1 {
		shut = fmt.Sprintf("%d doors: shut", len(doors))
	}
	counted := count(shutCounter(port))
	r.counters = append(r.counters, shutCounter(port))
	switch {
	case doors[0].Shut == knock.Drop:
		c.add(shut, counted, drop)
	case port.Proto == knock.TCP:
		c.add(shut, append([]statement{counted}, refuse(port.Number)...)...)
	default:
		c.add(shut, counted, reject(port.Proto))
	}
	return c
}
