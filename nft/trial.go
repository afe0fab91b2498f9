package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
)

// OpenTrial installs the ruleset as Open does, but for as long as this process lives and
// the table is not closed: the kernel takes it away with the socket that owns it,
// however the process ends (nft_rcv_nl_event in net/netfilter/nf_tables_api.c, since
// Linux 5.12). A table of this name that is there already is an error. After any
// error of one of its methods the table may be gone.
func OpenTrial(r *Ruleset) (*Table, error) {
	if err := CheckAbsent(r.name); err != nil {
		return nil, err
	}
	return openTrial(r, nil, nil)
}

// openTrial installs a trial's table, with grants and what is up besides what is listed.
func openTrial(r *Ruleset, grants []Grant, up flowList) (*Table, error) {
	t, err := connect(r.name)
	if err != nil {
		return nil, err
	}
	t.rules = r
	t.grants.reset(grants)
	t.owned, t.onTrial = true, true
	can, err := t.supports(tableOwner)
	if err == nil && !can {
		err = errors.New("this kernel cannot take a table away with the process that made it, which a trial is undone by: " +
			"Linux 5.12 or newer can; demo --config rehearses the configuration on any")
	}
	if err == nil {
		err = t.explainLacking(t.transact(nil, nil), features)
	}
	if err == nil {
		err = t.addFlows(up)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// CheckAbsent returns an error if there is a table of that name.
func CheckAbsent(name string) error {
	t, err := connect(name)
	if err != nil {
		return err
	}
	defer t.Close()
	was, err := readState(t.query, t.table)
	switch {
	case err != nil:
		return explain(err)
	case was == nil:
		return nil
	}
	if err := was.checkAvailable(name); err != nil {
		return err
	}
	return fmt.Errorf("table inet %s is there already, from a daemon that has been stopped: "+
		"start it, which tries any change (systemctl start nftknockd), or take the table away with `nftknockd remove`", name)
}

// Commit has a table that OpenTrial has installed outlive the process, with all of its
// grants. own is as in Open. After an error the table may be gone, and it is
// when it is closed.
//
// The flags of a table cannot be changed (nf_tables_updtable), so another one takes
// its place, in one transaction. That is not enough for a packet which is between two
// rules of the old table at that very moment: it would find its maps empty, and
// pass. A second table stands by, with the same rules.
func (t *Table) Commit(own bool) error {
	persist, err := t.supports(tableOwner | tablePersist)
	if err != nil {
		return err
	}
	persist = persist && own
	grants, err := t.Grants()
	if err != nil {
		return explain(err)
	}
	standIn := *t.rules
	standIn.name += "_stand_in"
	up, err := t.readFlows()
	if err != nil {
		return explain(err)
	}
	s, err := openTrial(&standIn, grants, up)
	if err != nil {
		return err
	}
	defer s.Close()

	if up, err = t.readFlows(); err != nil {
		return explain(err)
	}
	t.grants.reset(grants)
	t.owned, t.latched, t.onTrial = persist, own && !persist, false
	err = t.transact(nil, up, func(c *nftables.Conn) error { c.DelTable(t.table); return nil }, t.addLatch(nil))
	if err != nil {
		t.owned, t.latched, t.onTrial = true, false, true
		return err
	}
	// What has begun between the last look at the old table and its end, the other one knows.
	if up, err = s.readFlows(); err == nil {
		err = t.addFlows(up)
	}
	return errors.Join(err, t.rememberGrants(), t.readyLatch())
}
