package nft

import (
	"strings"

	"github.com/google/nftables"

	"nftknock/knock"
)

// A table that has an owner and does not persist would take itself away with the daemon, and that is all that the kernels from
// 5.12 to 6.8 have. So there the gate's table has no owner, and anybody's `nft flush ruleset` takes it away until the
// daemon has put it back. Meanwhile a second table keeps the ports shut: the latch, which the daemon owns.
//
// The latch knows nobody. The gate marks what it admits by a priority, and the latch, right behind the
// gate, drops what is for a guarded port and has not got it. So there is no second list of who
// is in that could differ from the first, and what the gate's table shows is all there is. The price: while
// there is no gate, connections that are up wait as well, until their next retransmission.
//
// The latch changes in the same transactions as the gate, and goes with the daemon's process. Then
// the gate's table stands alone, as it does where tables have no owners.

// latchSuffix is what is appended to the name of the gate's table.
const latchSuffix = "_latch"

// Right behind the gate, and before everything that gives a packet another port.
var priorityLatch = priority{"mangle + 1", nftables.ChainPriorityRef(*nftables.ChainPriorityMangle + 1)}

// heldCounter counts what the latch has dropped.
const heldCounter = "held"

// latch returns the table that keeps the guarded ports shut while the ruleset is not installed.
func (r *Ruleset) latch() *Ruleset {
	l := &Ruleset{name: r.name + latchSuffix, counters: []string{heldCounter}}
	gate := &chain{name: "gate", hook: &hook{"prerouting", nftables.ChainHookPrerouting, priorityLatch}}
	delivered := &chain{name: "delivered", hook: &hook{"input", nftables.ChainHookInput, priorityLatch}}
	arriving, hold := &chain{name: "arriving"}, &chain{name: "hold"}
	l.chains = append(l.chains, gate, delivered, arriving, hold)
	for _, p := range []knock.Proto{knock.TCP, knock.UDP} {
		numbers := portNumbers(r.guarded, p)
		if len(numbers) == 0 {
			continue
		}
		s := l.addPorts(guardedPortsSet+"_"+p.String(), "ports that are guarded, "+strings.ToUpper(p.String()), numbers)
		ofGuarded := []statement{l4proto(p).silent(), dportIn(p.String(), s.name)}
		gate.add("guarded ports, "+strings.ToUpper(p.String()), append(ofGuarded, goTo(arriving.name))...)
		delivered.add("guarded ports, "+strings.ToUpper(p.String()), append(ofGuarded, goTo(hold.name))...)
	}
	l.addInterfaces(r.interfaces, hold)
	hold.add("was admitted at the gate", isPriority(admitted), accept)
	hold.add("there is no gate", count(heldCounter), drop)
	arriving.add("on its way to another host", fibDaddrUnicast(), accept)
	arriving.add("to this host", goTo(hold.name))
	return l
}

// latch returns the table of the latch.
func (t *Table) latch() *nftables.Table {
	return &nftables.Table{Name: t.table.Name + latchSuffix, Family: t.table.Family}
}

// readLatch returns what the kernel has under the latch's name. It is an error if that is another's,
// or belongs to a process: it is not this table's own that is read.
func (t *Table) readLatch() (*state, error) {
	was, err := readState(t.query, t.latch())
	switch {
	case err != nil:
		return nil, explain(err)
	case was == nil:
		return nil, nil
	case was.flags&tableOwner != 0:
		return nil, &OwnedError{t.table.Name}
	case was.objects[heldCounter] != nftables.ObjTypeCounter:
		return nil, &NotOursError{t.latch().Name}
	}
	return was, nil
}

// changeLatch turns what the kernel has under the latch's name into the latch of the ruleset, if there is to be one.
func (t *Table) changeLatch(was *state) step {
	return func(c *nftables.Conn) error {
		if !t.latched {
			return nil
		}
		tx := &transaction{table: t.latch(), rules: t.rules.latch(), was: was, own: true, query: t.query, grants: new(grantCache)}
		return tx.build(c)
	}
}

// refitLatch makes the latch that of another ruleset.
func (t *Table) refitLatch() step {
	return func(c *nftables.Conn) error {
		if !t.latched {
			return nil
		}
		was, err := readState(t.query, t.latch())
		if err != nil {
			return err
		}
		return t.changeLatch(was)(c)
	}
}
