package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/florianl/go-nflog/v2"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// A Listener receives what the knock chain logs.
type Listener struct {
	log    *nflog.Nflog
	cancel context.CancelFunc

	observe func(arrived time.Time, p knock.Packet, payload []byte)
	overrun func()
	failed  chan error // why reading has ended, if not by Close

	clock    clock // of the reader's goroutine
	stamping bool  // the kernel was asked to stamp packets

	lost    atomic.Uint64
	ignored atomic.Uint64
	next    atomic.Uint64 // the sequence number expected next, plus one; 0 before the first
}

// listenBuffer is how much the log socket can hold while nobody reads, in
// bytes. Where the kernel allows less (net.core.rmem_max) it is less.
const listenBuffer = 16 << 20

// batchBuffer is room for floodBatch packets with their attributes, in bytes.
const batchBuffer = 16 << 10

// Listen binds the NFLOG group in this network namespace and calls observe with
// each knock, one after the other, from a goroutine of its own. When it arrived is on
// the monotonic clock, however long it has waited to be read. Of a UDP datagram that was logged
// whole it passes the payload too, which is valid until observe returns. It must be
// called before the table is installed: binding can fail under traffic. It is
// tried again a few times, which is for a daemon that follows a killed one.
//
// It calls overrun, from the same goroutine, when messages did not fit into the socket's
// buffer.
func Listen(group uint16, observe func(arrived time.Time, p knock.Packet, payload []byte), overrun func()) (*Listener, error) {
	const attempts = 20
	var err error
	for range attempts {
		var l *Listener
		if l, err = listen(group, observe, overrun); err == nil {
			return l, nil
		}
		if final := explainListen(group, err); final != nil {
			return nil, final
		}
	}
	return nil, fmt.Errorf("binding NFLOG group %d: %w", group, err)
}

func listen(group uint16, observe func(arrived time.Time, p knock.Packet, payload []byte), overrun func()) (*Listener, error) {
	log, err := nflog.Open(&nflog.Config{
		Group: group, Copymode: nflog.CopyPacket, Bufsize: packetSnaplen,
		QThresh: floodBatch, Timeout: floodBatchWait, Flags: nflog.FlagSeq,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{
		log: log, cancel: cancel, observe: observe, overrun: overrun,
		failed: make(chan error, 1), clock: newClock(),
	}
	reading := make(chan struct{})
	if err = log.Con.SetReadBuffer(listenBuffer); err == nil {
		err = log.RegisterWithErrorFunc(ctx, l.hook, func(err error) int {
			close(reading)
			l.takeOver(ctx, err)
			return 1 // the end
		})
	}
	if err == nil {
		err = setBatchBuffer(log.Con, group)
	}
	if err == nil {
		err = log.Con.SetReadDeadline(time.Unix(1, 0)) // now it is time to take over
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	<-reading // before it the library's goroutine does not count yet, and Close would not wait for it
	return l, nil
}

// setBatchBuffer lets the kernel gather up to batchBuffer bytes of a group's packets in a
// message, where its default is a page: too little for a batch of floodBatch.
// The library cannot. No answer is asked for, as its reader would get it.
func setBatchBuffer(c *netlink.Conn, group uint16) error {
	const (
		config  = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
		bufSize = 3                            // NFULA_CFG_NLBUFSIZ
	)
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: bufSize, Data: binary.BigEndian.AppendUint32(nil, batchBuffer)},
	})
	if err != nil {
		return err
	}
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group)
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: config, Flags: netlink.Request},
		Data:   append(header, attributes...),
	})
	return err
}

// Failed delivers the error that has ended the reading.
func (l *Listener) Failed() <-chan error { return l.failed }

// Lost returns how many log messages the kernel could not deliver.
func (l *Listener) Lost() uint64 { return l.lost.Load() }

// Ignored returns how many messages were no knocks.
func (l *Listener) Ignored() uint64 { return l.ignored.Load() }

// Close stops listening, and gives the group back.
func (l *Listener) Close() error {
	l.cancel() // first: the reader would never return from a socket that is closed
	return l.log.Close()
}

// explainListen says what an error means that trying again does not help
// against; nil if it may. The library hides errno in most of its errors.
func explainListen(group uint16, err error) error {
	is := func(errno unix.Errno) bool {
		return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
	}
	switch {
	case isTaken(err):
		return fmt.Errorf("another program uses NFLOG group %d: stop it, or set another `nflog_group` in the configuration", group)
	case is(unix.EPERM), is(unix.EACCES):
		return errors.New("not permitted to read the kernel's packet log: needs CAP_NET_ADMIN: run it as root, or by its systemd unit")
	case is(unix.EINVAL), is(unix.EPROTONOSUPPORT), is(unix.EOPNOTSUPP), is(unix.ENOENT):
		return fmt.Errorf("this kernel has no NFLOG: load nfnetlink_log, or build with CONFIG_NETFILTER_NETLINK_LOG (%w)", err)
	}
	return nil
}

// isTaken says whether binding an NFLOG group has failed because another program has it.
func isTaken(err error) bool {
	return err != nil && strings.Contains(err.Error(), unix.EPERM.Error()) && strings.Contains(err.Error(), "requested group")
}

// unheard returns an error if somebody listens to what the table logs. That is a daemon, which would put the
// table back.
func (t *Table) unheard() error {
	for _, group := range t.logGroups() {
		l, err := listen(group, func(time.Time, knock.Packet, []byte) {}, func() {})
		if isTaken(err) {
			return fmt.Errorf("table inet %s logs to NFLOG group %d, and a program listens: stop the nftknockd that is running", t.table.Name, group)
		}
		if err == nil {
			l.Close()
		}
	}
	return nil
}

// logGroups returns the NFLOG groups of the knock chain. Rules that somebody else has put there, and
// that cannot be read, have none.
func (t *Table) logGroups() (groups []uint16) {
	defer func() { _ = recover() }() // the library's panics, as in readElements
	rules, err := t.query.GetRules(t.table, &nftables.Chain{Name: knockChain})
	if err != nil {
		return nil // there is no such chain
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if l, ok := e.(*expr.Log); ok && !slices.Contains(groups, l.Group) {
				groups = append(groups, l.Group)
			}
		}
	}
	return groups
}
