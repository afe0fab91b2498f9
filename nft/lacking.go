package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// A feature is a part of nftables that is a module of its own in some kernels, and missing in others.
type feature struct {
	module, option string
	statement      statement // needs it
}

var features = []feature{
	{"nft_fib_inet", "CONFIG_NFT_FIB_INET", fibDaddrUnicast()},
	{"nft_numgen", "CONFIG_NFT_NUMGEN", exceptOneIn(2)},
	{"nft_socket", "CONFIG_NFT_SOCKET", noConnection},
	{"nft_limit", "CONFIG_NFT_LIMIT", limit(1, 1)},
	{"nft_log and nfnetlink_log", "CONFIG_NFT_LOG, CONFIG_NETFILTER_NETLINK_LOG", logTo(1, snaplen, 1)},
	{"nft_reject_inet", "CONFIG_NFT_REJECT_INET", reject(knock.UDP)},
	{"nft_counter and nft_objref", "CONFIG_NFT_COUNTER, CONFIG_NFT_OBJREF", count(heldCounter)},
}

// isLacking says whether an error of the kernel may be for something that it lacks.
func isLacking(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOENT, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EINVAL} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// explainLacking adds to an error of the kernel what it lacks, if that is why. Every feature
// is tried in a table that is gone again with the same transaction.
func (t *Table) explainLacking(err error, features []feature) error {
	if !isLacking(err) {
		return err
	}
	if !t.try(func(*nftables.Conn, *nftables.Table, *nftables.Chain) {}) {
		return lackingError{[]feature{{"nf_tables", "CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET", statement{}}}, err}
	}
	var lacking []feature
	for _, f := range features {
		if !t.try(func(c *nftables.Conn, table *nftables.Table, chain *nftables.Chain) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: f.statement.exprs})
		}) {
			lacking = append(lacking, f)
		}
	}
	if len(lacking) == 0 {
		return err
	}
	return lackingError{lacking, err}
}

// try says whether the kernel takes what is added to a table and a chain like the gate's.
func (t *Table) try(add func(*nftables.Conn, *nftables.Table, *nftables.Chain)) bool {
	table := &nftables.Table{Name: t.table.Name + probeSuffix, Family: t.table.Family}
	batch, err := encode(func(c *nftables.Conn) error {
		c.AddTable(table)
		chain := c.AddChain(&nftables.Chain{
			Name: "gate", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
		})
		tx := &transaction{table: table}
		c.AddObj(tx.counter(heldCounter))
		add(c, table, chain)
		c.DelTable(table)
		return nil
	})
	return err == nil && !isLacking(commit(t.socket, batch))
}

// A lackingError says what the kernel lacks.
type lackingError struct {
	features []feature
	err      error
}

func (e lackingError) Error() string {
	var modules, options []string
	for _, f := range e.features {
		modules, options = append(modules, f.module), append(options, f.option)
	}
	return fmt.Sprintf("this kernel lacks %s: load it (modprobe, or a line in /etc/modules-load.d), or build it with %s; "+
		"nothing has been changed (%v)", strings.Join(modules, ", "), strings.Join(options, ", "), e.err)
}

func (e lackingError) Unwrap() error { return e.err }
