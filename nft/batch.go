package nft

import (
	"encoding/binary"
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
// effect, all of it, or nothing has. After an error the socket may hold more
// answers, and must not be used again.
func commit(socket *netlink.Conn, batch []netlink.Message) error {
	if len(batch) == 0 {
		return nil
	}
	if _, err := socket.SendMessages(batch); err != nil {
		return err
	}
	_, err := socket.Receive()
	return err
}

// A table that is owned can be changed by its owner's socket alone: nobody
// else's `nft flush ruleset` or `nft delete table` touches it. One that persists
// stays, without an owner, when that socket is closed, and can be owned again.
// Both together are possible since Linux 6.9 (nft_table_is_orphan in
// net/netfilter/nf_tables_api.c). An owner alone takes the table away with the
// process's life, and the port is open: right for a trial, and never for the daemon.
const (
	tableDormant = 0x1 // NFT_TABLE_F_DORMANT
	tableOwner   = 0x2 // NFT_TABLE_F_OWNER
	tablePersist = 0x4 // NFT_TABLE_F_PERSIST

	tableUserdata = 6 // NFTA_TABLE_USERDATA
)

// tableComment is what `nft list ruleset` shows at the top of an owned table.
const tableComment = "nftknockd's own; only it can change this while it runs"

// setFlags gives the table that a transaction adds, or one without an owner, flags
// that make it the sending socket's own.
func setFlags(batch []netlink.Message, name string, flags uint32) error {
	const newTable = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE
	for i, m := range batch {
		if m.Header.Type != newTable {
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
