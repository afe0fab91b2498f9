package nft

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Watcher hears when somebody else changes the table.
type Watcher struct {
	conn    *netlink.Conn
	latch   *netlink.Conn // adds the latch to a table that has none at rest
	changed chan struct{}
}

// Watch begins to listen to what the kernel says of changes to nftables
// (NFNLGRP_NFTABLES).
func (t *Table) Watch() (*Watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	if err := errors.Join(conn.SetReadBuffer(listenBuffer), conn.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("netlink group of nftables: %w", err)
	}
	w := &Watcher{conn: conn, changed: make(chan struct{}, 1)}
	if w.latch, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		conn.Close()
		return nil, fmt.Errorf("netlink: %w", err)
	}
	go w.read(t)
	return w, nil
}

// Changed delivers a value after somebody else has changed the table, or may
// have: several changes can come as one.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Close ends the watch.
func (w *Watcher) Close() error { return w.conn.Close() }

// read notes what somebody else does until a transaction is at its end: what one has done is put right
// by one.
func (w *Watcher) read(t *Table) {
	defer w.latch.Close()
	var foreign []foreignChange // to elements
	changed := false            // otherwise
	for {
		messages, err := w.conn.Receive()
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed), errors.Is(err, unix.EBADF):
			return
		case err != nil: // most likely some did not fit into the buffer
			w.notify()
			continue
		}
		for _, m := range messages {
			switch {
			case isKind(m, unix.NFT_MSG_NEWGEN):
				for _, c := range foreign {
					changed = t.heard(c) || changed
				}
				if changed {
					w.notify()
				}
				foreign, changed = nil, false
			case m.Header.PID == t.portID || !concerns(m, t.table.Name):
			case isKind(m, unix.NFT_MSG_NEWSETELEM), isKind(m, unix.NFT_MSG_DELSETELEM):
				c, err := readForeignChange(m)
				if err != nil {
					changed = true
					continue
				}
				// The ends of an interval come one by one.
				if last := len(foreign) - 1; last >= 0 && foreign[last].set == c.set && foreign[last].deleted == c.deleted {
					foreign[last].elements = append(foreign[last].elements, c.elements...)
				} else {
					foreign = append(foreign, c)
				}
			default:
				if isKind(m, unix.NFT_MSG_DELTABLE) && !t.latched {
					t.loose.fall(w.latch)
				}
				changed = true
			}
		}
	}
}

func isKind(m netlink.Message, kind netlink.HeaderType) bool {
	return m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|kind
}

func (w *Watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// concerns says whether a message is about the table.
func concerns(m netlink.Message, table string) bool {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return false
	}
	if isKind(m, unix.NFT_MSG_NEWGEN) || len(m.Data) < nfnetlinkHeader || m.Data[0] != unix.NFPROTO_INET {
		return false
	}
	attributes, err := netlink.NewAttributeDecoder(m.Data[nfnetlinkHeader:])
	if err != nil {
		return false
	}
	for attributes.Next() {
		// The table's name is attribute 1 of every kind of message.
		if attributes.Type() == unix.NFTA_TABLE_NAME {
			return attributes.String() == table
		}
	}
	return false
}

// portIDOf returns the address of a netlink socket, which the kernel writes into
// messages about what was changed through it.
func portIDOf(c *netlink.Conn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var address unix.Sockaddr
	if controlErr := raw.Control(func(fd uintptr) { address, err = unix.Getsockname(int(fd)) }); controlErr != nil {
		return 0, controlErr
	}
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	netlinkAddress, ok := address.(*unix.SockaddrNetlink)
	if !ok {
		return 0, fmt.Errorf("socket has an address of type %T", address)
	}
	return netlinkAddress.Pid, nil
}
