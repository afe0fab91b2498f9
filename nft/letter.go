package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A letter is a transaction that adds an element to the set of those whom a door lets
// in, or gives it another time. It is written once and then only readdressed: to write it
// takes longer than all else that opening a door takes.
type letter struct {
	bytes []byte
	keys  [][]int // where the element's key is, and in a set of intervals that after it
}

// A subject is what letters have in common, but for the address.
type subject struct {
	set     string
	keys    int
	comment string
	timeout time.Duration // 0: none
}

// maxLetters bounds how many letters are kept. A door has two or four; people who let
// in by hand may choose other times.
const maxLetters = 4096

// letterTo returns the letter that adds an element to a set.
func (t *Table) letterTo(set *nftables.Set, element []nftables.SetElement) (*letter, error) {
	s := subject{set.Name, len(element), element[0].Comment, element[0].Timeout}
	l := t.letters[s]
	if l == nil {
		var err error
		if l, err = write(set, element); err != nil {
			return nil, err
		}
		if len(t.letters) >= maxLetters {
			clear(t.letters)
		}
		t.letters[s] = l
	}
	for i, at := range l.keys {
		for _, at := range at {
			copy(l.bytes[at:], element[i].Key)
		}
	}
	return l, nil
}

// standIns are keys that are nowhere else in a letter, as long as an IPv6 address.
var standIns = [...][]byte{
	[]byte("\xa7\x5b\xe3\x19\xd2\x8c\x4f\x96\xb1\x3e\x70\xc5\x0a\xf8\x67\x2d"),
	[]byte("\x6e\xd4\x91\xbb\x38\xf7\x02\x5c\xe9\x83\x1d\xa6\xc0\x74\x2f\x50"),
}

func write(set *nftables.Set, element []nftables.SetElement) (*letter, error) {
	anyElement := make([]nftables.SetElement, len(element))
	for i, e := range element {
		e.Key = standIns[i][:len(e.Key)]
		anyElement[i] = e
	}
	add := func(c *nftables.Conn) error { return c.SetAddElements(set, anyElement) }
	remove := func(c *nftables.Conn) error { return c.SetDeleteElements(set, anyElement) }
	// Before Linux 6.12, adding an element that is there does not renew its time.
	// Removing it in the same transaction does, and removing asks that it be there.
	batch, err := encode(add, remove, add)
	if err != nil {
		return nil, err
	}
	l := new(letter)
	for _, m := range batch {
		m.Header.Length = uint32(netlinkHeader + len(m.Data))
		b, err := m.MarshalBinary()
		if err != nil {
			return nil, err
		}
		l.bytes = append(l.bytes, b...)
	}
	messages := len(batch) - 2 // between the transaction's begin and its end
	for _, e := range anyElement {
		at := indexAll(l.bytes, e.Key)
		if len(at) != messages {
			return nil, fmt.Errorf("the key of an element is in %d places of %d messages", len(at), messages)
		}
		l.keys = append(l.keys, at)
	}
	return l, nil
}

// indexAll returns where in b a part is.
func indexAll(b, part []byte) []int {
	var all []int
	for from := 0; ; {
		i := bytes.Index(b[from:], part)
		if i < 0 {
			return all
		}
		all = append(all, from+i)
		from += i + len(part)
	}
}

// post sends a letter. After an error it goes on with a new socket.
func (t *Table) post(l *letter) error {
	err := post(t.socket, l)
	if err != nil {
		err = errors.Join(err, t.reconnect())
	}
	return err
}

// post sends a letter and returns the kernel's answer, which is there when the sending is
// done: netlink works in the time of who sends.
func post(socket *netlink.Conn, l *letter) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var answer [256]byte
	n := 0
	if controlErr := raw.Control(func(fd uintptr) {
		if err = unix.Sendto(int(fd), l.bytes, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
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
		return errors.New("the kernel's answer to a transaction is none")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[errno:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
