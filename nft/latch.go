package nft

import (
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

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
// the gate's table stands alone.
//
// Where tables have no owners, others can take away what the daemon would leave there. So there the latch is kept at
// hand: a transaction that is ready to be sent, and small, when the gate's table is heard to have gone. The latch
// is lifted by the transaction that puts the gate back, which takes several times as long.

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
	arriving.add("a fragment: the whole is judged where it is delivered", fragment4, accept)
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

// addLatch adds the latch of the ruleset, if there is to be one, in place of one that was left behind.
func (t *Table) addLatch(left *state) step {
	return func(c *nftables.Conn) error {
		if left != nil {
			c.DelTable(t.latch()) // what has no owner cannot be given one
		}
		if !t.latched {
			return nil
		}
		return t.latchFrom(nil).build(c)
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
		return t.latchFrom(was).build(c)
	}
}

// latchFrom returns the transaction that makes the latch from what there is.
func (t *Table) latchFrom(was *state) *transaction {
	return &transaction{table: t.latch(), rules: t.rules.latch(), was: was, own: true, query: t.query, grants: new(grantCache)}
}

// A looseLatch is one at hand, for a table without an owner.
type looseLatch struct {
	mu     sync.Mutex
	batch  []netlink.Message
	fallen bool
}

// readyLatch has the latch of the ruleset at hand.
func (t *Table) readyLatch() error {
	batch, err := encode(t.latchFrom(nil).build)
	if err != nil {
		return err
	}
	for i, m := range batch {
		if isKind(m, unix.NFT_MSG_NEWTABLE) {
			batch[i].Header.Flags |= netlink.Excl // one that has fallen need not fall again
		}
	}
	t.loose.mu.Lock()
	defer t.loose.mu.Unlock()
	t.loose.batch = batch
	return nil
}

// fall adds the latch, by a socket of the caller's. It can be called while
// the table is being changed.
func (l *looseLatch) fall(socket *netlink.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batch == nil || commit(socket, l.batch) != nil {
		return
	}
	l.fallen = true
}

// lift takes away a latch that has fallen. Somebody else may have done so.
func (t *Table) lift() step {
	return func(c *nftables.Conn) error {
		t.loose.mu.Lock()
		defer t.loose.mu.Unlock()
		if t.loose.fallen {
			c.AddTable(t.latch())
			c.DelTable(t.latch())
		}
		return nil
	}
}

// lifted takes note that lift has taken effect.
func (l *looseLatch) lifted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fallen = false
}
