package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Table is a Ruleset that is installed in the kernel. It is not safe for
// concurrent use.
type Table struct {
	rules *Ruleset
	table *nftables.Table
	conn  *nftables.Conn
}

// socketBuffer is how much of a transaction, and of the kernel's answers to
// it, a netlink socket can hold, in bytes. Without CAP_NET_ADMIN in the initial user
// namespace the kernel allows less (net.core.wmem_max, rmem_max), which is
// enough for a few hundred doors.
const socketBuffer = 64 << 20

// Open installs the ruleset in this network namespace, in one transaction. A
// table that is there already, as after a crash, is brought in line: whoever is
// let in through a door that remains stays so, for as long as was left. A table
// of this name that is not nftknockd's is an error.
func Open(r *Ruleset) (*Table, error) {
	t := &Table{rules: r, table: &nftables.Table{Name: r.name, Family: nftables.TableFamilyINet}}
	if err := t.dial(); err != nil {
		return nil, err
	}
	if err := t.install(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Table) dial() error {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return errors.Join(c.SetWriteBuffer(socketBuffer), c.SetReadBuffer(socketBuffer))
	}))
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	t.conn = c
	return nil
}

func (t *Table) install() error {
	was, err := readState(t.conn, t.table)
	if err != nil {
		return explain(err)
	}
	if was != nil && !was.ours() {
		return &NotOursError{t.table.Name}
	}
	err = t.transact(func(c *nftables.Conn) error {
		tx := &transaction{conn: c, table: t.table, rules: t.rules, was: was}
		return tx.build()
	})
	if err != nil {
		return explain(err)
	}
	return nil
}

// transact commits what the steps add, all of it or nothing. After an error the
// connection may hold leftovers of either side: the next one starts anew.
func (t *Table) transact(steps ...func(*nftables.Conn) error) error {
	err := func() error {
		for _, step := range steps {
			if err := step(t.conn); err != nil {
				return err
			}
		}
		return t.conn.Flush()
	}()
	if err != nil {
		t.Close()
		if dialErr := t.dial(); dialErr != nil {
			return errors.Join(err, dialErr)
		}
	}
	return err
}

// Remove takes the table out of the kernel, and with it everything it did.
func (t *Table) Remove() error {
	return t.transact(func(c *nftables.Conn) error {
		c.DelTable(t.table)
		return nil
	})
}

// Close gives the connection up. The table stays.
func (t *Table) Close() error { return t.conn.CloseLasting() }

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
	case errors.Is(err, unix.EPERM):
		hint = "needs CAP_NET_ADMIN: run it as root, or by its systemd unit"
	case errors.Is(err, unix.EPROTONOSUPPORT):
		hint = "this kernel has no nftables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)"
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		hint = "this kernel lacks a part of nftables that is needed: CONFIG_NFT_CT, CONFIG_NFT_LOG, CONFIG_NFT_LIMIT, " +
			"CONFIG_NFT_REJECT_INET, CONFIG_NFT_FIB_INET, CONFIG_NETFILTER_NETLINK_LOG; Linux 5.10 or newer has them"
	case errors.Is(err, unix.EMSGSIZE):
		hint = "the table is too large for this socket's buffer: raise net.core.wmem_max"
	default:
		return fmt.Errorf("installing the table: %w", err)
	}
	return fmt.Errorf("installing the table: %w (%s)", err, hint)
}
