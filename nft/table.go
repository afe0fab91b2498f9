package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Table is a Ruleset that is installed in the kernel. It is not safe for
// concurrent use.
type Table struct {
	rules *Ruleset
	table *nftables.Table
	query *nftables.Conn // reads only

	socket  *netlink.Conn // changes are made through this one, which may own tables
	portID  uint32        // its address
	owned   bool
	latched bool // a latch stands beside it
	loose   looseLatch

	onTrial bool // owned, and gone with the socket

	// Who was let in, and until when: to let them in again after somebody else has
	// taken the table away. Not kept of a table that is owned.
	grants grantCache

	foreign foreignFlows // of others, to be undone
}

// socketBuffer is how large a transaction can be, in bytes. Without CAP_NET_ADMIN in
// the initial user namespace the kernel allows less (net.core.wmem_max), which is
// enough for some hundred doors.
const socketBuffer = 64 << 20

// Open installs the ruleset in this network namespace, in one transaction. A
// table that is there already, as after a crash, is brought in line: whoever is
// let in through a door that remains stays so, for as long as was left. A table
// of this name that is not nftknockd's is an error.
//
// If own is set and the kernel can (Linux 6.9), nobody else can change or remove
// the table while it is open. One that was made without an owner stays without. With own set and a table that is
// not owned, a latch keeps the ports shut whenever somebody has taken the table away (Linux 5.12): see latch.go.
func Open(r *Ruleset, own bool) (*Table, error) {
	t, err := connect(r.name)
	if err != nil {
		return nil, err
	}
	t.rules = r
	if err := t.install(own); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func connect(name string) (*Table, error) {
	query, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	t := &Table{table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}, query: query}
	return t, t.dial()
}

func (t *Table) dial() error {
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	id, err := portIDOf(socket)
	if err := errors.Join(err, socket.SetWriteBuffer(socketBuffer)); err != nil {
		socket.Close()
		return fmt.Errorf("netlink: %w", err)
	}
	t.socket, t.portID = socket, id
	return nil
}

func (t *Table) install(own bool) error {
	was, err := readState(t.query, t.table)
	if err != nil {
		return t.explainLacking(explain(err), features)
	}
	if was != nil {
		if err := was.checkAvailable(t.table.Name); err != nil {
			return err
		}
	}
	latch, err := t.readLatch()
	if err != nil {
		return err
	}
	if own && (was == nil || was.flags&tablePersist != 0) {
		if t.owned, err = t.supports(tableOwner | tablePersist); err != nil {
			return err
		}
	}
	if own && !t.owned {
		if t.latched, err = t.supports(tableOwner); err != nil {
			return err
		}
	}
	if was != nil {
		if err := t.adopt(was.flags); err != nil {
			return err
		}
	}
	if err := t.transact(was, nil, t.addLatch(latch)); err != nil {
		return t.explainLacking(err, features)
	}
	return errors.Join(t.rememberGrants(), t.readyLatch())
}

// adopt makes a table that was left behind this one's, or wakes it, and changes nothing else: the
// kernel refuses base chains in the same transaction (nf_tables_addchain in net/netfilter/nf_tables_api.c).
func (t *Table) adopt(flags uint32) error {
	if flags&tableDormant == 0 && (!t.owned || flags&tableOwner != 0) {
		return nil
	}
	batch, err := encode(func(c *nftables.Conn) error { c.AddTable(t.table); return nil })
	if err == nil && t.owned {
		err = setFlags(batch, t.table.Name, t.flags())
	}
	if err == nil {
		err = commit(t.socket, batch)
	}
	return explain(err)
}

// Replace installs another ruleset of the same name, in one transaction. Who is
// let in through a door that remains stays in. After an error the old one is in force.
func (t *Table) Replace(r *Ruleset) error {
	old := t.rules
	t.rules = r
	if err := t.restore(t.refitLatch()); err != nil {
		t.rules = old
		return err
	}
	return errors.Join(t.rememberGrants(), t.readyLatch())
}

// Restore puts right what somebody else has done to the table, with the
// grants there were. If that cannot be done part by part, the table is made anew in one transaction.
func (t *Table) Restore() error { return t.restore() }

// restore is Restore with more steps of the same transaction.
func (t *Table) restore(steps ...step) error {
	err := t.tryRestore(append(steps, t.lift())...)
	if err == nil {
		t.loose.lifted()
	}
	return err
}

func (t *Table) tryRestore(steps ...step) error {
	was, err := readState(t.query, t.table)
	if err != nil {
		return explain(err)
	}
	if err = t.transact(was, nil, steps...); err == nil || was == nil || t.owned {
		return err
	}
	up, readErr := t.readFlows()
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return t.transact(nil, up, append(steps, func(c *nftables.Conn) error { c.DelTable(t.table); return nil })...)
}

// A step adds messages to a transaction.
type step = func(*nftables.Conn) error

// transact commits a transaction that turns what the kernel has into the ruleset, with what is up besides what
// is listed, after the steps.
func (t *Table) transact(was *state, up flowList, steps ...step) error {
	flows, err := t.rules.listFlows()
	if err != nil {
		return err
	}
	for set, elements := range up {
		flows[set] = append(elements, flows[set]...)
	}
	foreign := t.foreign.take()
	tx := &transaction{
		table: t.table, rules: t.rules, was: was, own: t.owned, query: t.query, grants: &t.grants, flows: flows, foreign: foreign,
	}
	batch, err := encode(append(steps, tx.build)...)
	if err == nil && t.owned {
		err = setFlags(batch, t.table.Name, t.flags())
	}
	if err == nil && t.latched {
		err = setFlags(batch, t.latch().Name, tableOwner)
	}
	if err == nil {
		err = commit(t.socket, batch)
	}
	if err != nil {
		for _, c := range foreign {
			t.foreign.note(c)
		}
		return explain(err)
	}
	return nil
}

// flags are those of a table that is owned.
func (t *Table) flags() uint32 {
	if t.onTrial {
		return tableOwner
	}
	return tableOwner | tablePersist
}

func (t *Table) rememberGrants() error {
	if t.owned {
		t.grants.reset(nil)
		return nil
	}
	grants, err := t.Grants()
	if err == nil {
		t.grants.reset(grants)
	}
	return err
}

// Owned says whether nobody else can change the table.
func (t *Table) Owned() bool { return t.owned }

// Remove takes the table out of the kernel, and with it everything it did.
func (t *Table) Remove() error {
	batch, err := encode(func(c *nftables.Conn) error {
		c.DelTable(t.table)
		if t.latched {
			c.DelTable(t.latch())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return explain(commit(t.socket, batch))
}

// Remove takes a table of that name away, if there is one and it is
// nftknockd's, and no daemon runs that would put it back. It says whether there was.
func Remove(name string) (bool, error) {
	t, err := connect(name)
	if err != nil {
		return false, err
	}
	defer t.Close()
	was, err := readState(t.query, t.table)
	switch {
	case err != nil:
		return false, explain(err)
	}
	latch, err := t.readLatch()
	switch {
	case err != nil:
		return true, err
	case was == nil && latch == nil:
		return false, nil
	}
	if was != nil {
		if err := was.checkAvailable(name); err != nil {
			return true, err
		}
	}
	if err := t.unheard(); err != nil {
		return true, err
	}
	batch, err := encode(func(c *nftables.Conn) error {
		for table, there := range map[*nftables.Table]bool{t.table: was != nil, t.latch(): latch != nil} {
			if there {
				c.DelTable(table)
			}
		}
		return nil
	})
	if err != nil {
		return true, err
	}
	return true, explain(commit(t.socket, batch))
}

// Close gives the table up. It stays in the kernel.
func (t *Table) Close() error { return t.socket.Close() }

// An OwnedError says that a process owns the table.
type OwnedError struct{ Table string }

func (e *OwnedError) Error() string {
	return fmt.Sprintf("table inet %s belongs to another process: stop the nftknockd that is running", e.Table)
}

// A NotOursError says that the table's name is taken by another's table.
type NotOursError struct{ Table string }

func (e *NotOursError) Error() string {
	return fmt.Sprintf("table inet %s is there already and was not made by nftknockd: "+
		"set another name with `table` in the configuration, or take that table away", e.Table)
}

// explain says what an error of the kernel means for whoever runs the daemon.
func explain(err error) error {
	var hint string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		hint = "needs CAP_NET_ADMIN: run it as root, or by its systemd unit"
	case errors.Is(err, unix.EMSGSIZE):
		hint = "the table is too large for this socket's buffer: raise net.core.wmem_max"
	default:
		return fmt.Errorf("changing the table: %w", err)
	}
	return fmt.Errorf("changing the table: %w (%s)", err, hint)
}

// explainRead is explain for reading. The library hides errno in some of its errors.
func explainRead(err error) error {
	if errors.Is(err, unix.EPERM) || strings.Contains(err.Error(), unix.EPERM.Error()) {
		return errors.New("reading the table: not permitted: needs CAP_NET_ADMIN: run it as root")
	}
	return fmt.Errorf("reading the table: %w", err)
}
