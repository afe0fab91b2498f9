package nft

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// An elementUpdate is a transaction that changes elements of sets: the messages, as they are sent. It
// is what opening a door waits for, so it is written here, in a fraction of the time that the library takes.
type elementUpdate struct {
	table string
	bytes []byte
	last  int // where the last message begins
}

func newElementUpdate(table string) *elementUpdate {
	u := &elementUpdate{table: table, bytes: make([]byte, 0, 1024)}
	u.message(unix.NFNL_MSG_BATCH_BEGIN, netlink.Request, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, func() {})
	return u
}

// renew adds elements to a set, or gives them another time.
//
// Before Linux 6.12, adding an element that is there does not renew its time. Removing it in
// the same transaction does, and removing asks that it be there.
func (u *elementUpdate) renew(set string, elements []nftables.SetElement) {
	u.remove(set, elements)
	u.change(unix.NFT_MSG_NEWSETELEM, set, elements)
}

// remove removes elements from a set. To remove what is not there is an error, and those
// take the kernel long, so they are added first.
func (u *elementUpdate) remove(set string, elements []nftables.SetElement) {
	u.change(unix.NFT_MSG_NEWSETELEM, set, elements)
	u.change(unix.NFT_MSG_DELSETELEM, set, elements)
}

func (u *elementUpdate) change(kind uint16, set string, elements []nftables.SetElement) {
	flags := netlink.Request
	if kind == unix.NFT_MSG_NEWSETELEM {
		flags |= netlink.Create
	}
	for part := range slices.Chunk(elements, elementsPerMessage) {
		u.message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, unix.NFPROTO_INET, 0, func() {
			u.text(unix.NFTA_SET_ELEM_LIST_TABLE, u.table)
			u.text(unix.NFTA_SET_ELEM_LIST_SET, set)
			u.nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
				for _, e := range part {
					u.nested(unix.NFTA_LIST_ELEM, func() { u.element(e) })
				}
			})
		})
	}
}

// end ends the transaction, and returns it.
func (u *elementUpdate) end() []byte {
	flags := u.bytes[u.last+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|uint16(netlink.Acknowledge))
	u.message(unix.NFNL_MSG_BATCH_END, netlink.Request, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, func() {})
	return u.bytes
}

// message appends a message: struct nlmsghdr, struct nfgenmsg and attributes.
func (u *elementUpdate) message(kind uint16, flags netlink.HeaderFlags, family byte, resource uint16, attributes func()) {
	start := len(u.bytes)
	u.last = start
	b := binary.NativeEndian.AppendUint32(u.bytes, 0) // the length, when it is known
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, uint16(flags))
	b = append(b, make([]byte, 8)...) // the sequence number and the sender, which no answer is told by
	b = append(b, family, unix.NFNETLINK_V0)
	u.bytes = binary.BigEndian.AppendUint16(b, resource)
	attributes()
	binary.NativeEndian.PutUint32(u.bytes[start:], uint32(len(u.bytes)-start))
}

func (u *elementUpdate) element(e nftables.SetElement) {
	const intervalEnd = 1 // NFT_SET_ELEM_INTERVAL_END
	u.nested(unix.NFTA_SET_ELEM_KEY, func() { u.attribute(unix.NFTA_DATA_VALUE, e.Key) })
	if e.IntervalEnd {
		u.attribute(unix.NFTA_SET_ELEM_FLAGS, binary.BigEndian.AppendUint32(nil, intervalEnd))
	}
	if e.Timeout != 0 {
		u.attribute(unix.NFTA_SET_ELEM_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(e.Timeout.Milliseconds())))
	}
	if e.Comment != "" {
		u.attribute(unix.NFTA_SET_ELEM_USERDATA, appendComment(nil, e.Comment))
	}
}

// text appends an attribute that is a string.
func (u *elementUpdate) text(kind uint16, s string) { u.attribute(kind, append([]byte(s), 0)) }

// attribute appends an attribute: struct nlattr and the value, padded.
func (u *elementUpdate) attribute(kind uint16, value []byte) {
	b := binary.NativeEndian.AppendUint16(u.bytes, uint16(attributeHeader+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	u.bytes = append(b, make([]byte, align(len(value))-len(value))...)
}

// nested appends an attribute that holds others.
func (u *elementUpdate) nested(kind uint16, attributes func()) {
	start := len(u.bytes)
	u.attribute(kind|unix.NLA_F_NESTED, nil)
	attributes()
	binary.NativeEndian.PutUint16(u.bytes[start:], uint16(len(u.bytes)-start))
}

// send sends an update and returns the kernel's answer, which is there when the sending is
// done: netlink works in the time of who sends.
func send(socket *netlink.Conn, u []byte) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var answer [256]byte
	n := 0
	if controlErr := raw.Control(func(fd uintptr) {
		if err = unix.Sendto(int(fd), u, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
			n, _, err = unix.Recvfrom(int(fd), answer[:], unix.MSG_DONTWAIT)
		}
	}); controlErr != nil {
		return controlErr
	}
	if err != nil {
		return err
	}
	const errno = netlinkHeader // struct nlmsgerr begins with it
	if n < errno+4 || netlink.HeaderType(binary.NativeEndian.Uint16(answer[4:])) != netlink.Error {
		return errors.Join(errors.New("the kernel's answer to a transaction is none"), drain(socket))
	}
	if code := int32(binary.NativeEndian.Uint32(answer[errno:])); code != 0 {
		return errors.Join(unix.Errno(-code), drain(socket))
	}
	return nil
}
