package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// encode returns the messages of the transaction that the steps make. The
// library does the encoding; sending is done here, because it
//
//   - cannot give a table flags or a comment;
//   - asks for an answer to every message, of which a large table's do not fit
//     into a socket's buffer: the transaction is committed and looks failed.
//
// Its hook for tests is the one place where the messages can be had.
func encode(steps ...func(*nftables.Conn) error) ([]netlink.Message, error) {
	var batch []netlink.Message
	c, err := nftables.New(nftables.WithTestDial(func(sent []netlink.Message) ([]netlink.Message, error) {
		if sent != nil {
			batch = sent
		}
		return nil, io.EOF // there is no answer
	}))
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	if err := c.Flush(); err != nil {
		return nil, fmt.Errorf("encoding a transaction: %w", err)
	}
	for i := range batch {
		h := &batch[i].Header
		h.Flags &^= netlink.Acknowledge | netlink.Echo
		h.Sequence, h.PID = 0, 0 // the sending socket's
	}
	if last := len(batch) - 2; last > 0 { // the one before the end of the batch
		batch[last].Header.Flags |= netlink.Acknowledge
	}
	return batch, nil
}

// commit sends a transaction and waits for the kernel's answer: it has taken
// effect, all of it, or nothing has.
func commit(socket *netlink.Conn, batch []netlink.Message) error {
	if len(batch) == 0 {
		return nil
	}
	_, err := socket.SendMessages(batch)
	if err == nil {
		_, err = socket.Receive()
	}
	if err != nil {
		return errors.Join(err, drain(socket))
	}
	return nil
}

// drain takes the answers that a socket holds: after an error there may be one to each message.
// All of them are there when the sending is done, as netlink works in the time of who sends.
// A new socket would do as well, but not own what the old one owns.
func drain(socket *netlink.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		var answer [256]byte
		for {
			_, _, err := unix.Recvfrom(int(fd), answer[:], unix.MSG_DONTWAIT)
			if err != nil && err != unix.ENOBUFS && err != unix.EINTR {
				return
			}
		}
	})
}

// A table that is owned can be changed by its owner's socket alone: nobody
// else's `nft flush ruleset` or `nft delete table` touches it. One that persists
// stays, without an owner, when that socket is closed, and can be owned again.
// Both together are possible since Linux 6.9 (nft_table_is_orphan in
// net/netfilter/nf_tables_api.c). An owner alone takes the table away with the
// process's life, and the port is open: right for a trial and for a latch, and never for the gate.
const (
	tableDormant = 0x1 // NFT_TABLE_F_DORMANT
	tableOwner   = 0x2 // NFT_TABLE_F_OWNER
	tablePersist = 0x4 // NFT_TABLE_F_PERSIST

	tableUserdata = 6 // NFTA_TABLE_USERDATA
)

// tableComment is what `nft list ruleset` shows at the top of an owned table.
const tableComment = "nftknockd's own; only it can change this while it runs"

// lacks is what this kernel is not to be asked for: "persist" or "owner". Tests have the linker set it, and see
// on one kernel what an older one brings about.
var lacks string

// probeSuffix is what is appended to the table's name for one that tries what the kernel can.
const probeSuffix = "_probe"

// supports says whether the kernel has tables with these flags. It asks by a table that is gone again
// with the same transaction.
func (t *Table) supports(flags uint32) (bool, error) {
	if lacks == "owner" || lacks == "persist" && flags&tablePersist != 0 {
		return false, nil
	}
	probe := &nftables.Table{Name: t.table.Name + probeSuffix, Family: t.table.Family}
	batch, err := encode(func(c *nftables.Conn) error { c.AddTable(probe); c.DelTable(probe); return nil })
	if err == nil {
		err = setFlags(batch, probe.Name, flags)
	}
	if err == nil {
		err = commit(t.socket, batch)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return err == nil, explain(err)
}

// setFlags gives the table of that name which a transaction adds, or one without an owner, flags
// that make it the sending socket's own.
func setFlags(batch []netlink.Message, name string, flags uint32) error {
	for i, m := range batch {
		if !isKind(m, unix.NFT_MSG_NEWTABLE) || !concerns(m, name) {
			continue
		}
		attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
			{Type: unix.NFTA_TABLE_NAME, Data: []byte(name + "\x00")},
			{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, flags)},
			{Type: tableUserdata, Data: userdata.AppendString(nil, userdata.TypeComment, tableComment)},
		})
		if err != nil {
			return err
		}
		batch[i].Data = append(m.Data[:nfnetlinkHeader:nfnetlinkHeader], attributes...)
	}
	return nil
}

// flagsOf undoes that the library reads a table's flags, which the kernel sends in
// network byte order, in the host's.
func flagsOf(t *nftables.Table) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, t.Flags))
}
