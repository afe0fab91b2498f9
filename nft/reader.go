package nft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/florianl/go-nflog/v2"
	"golang.org/x/sys/unix"
)

// hook takes in what arrives before takeOver.
func (l *Listener) hook(a nflog.Attribute) int {
	var m message
	if a.Seq != nil {
		m.seq, m.numbered = *a.Seq, true
	}
	if a.InDev != nil {
		m.link = *a.InDev
	}
	if a.Payload != nil {
		m.payload = *a.Payload
	}
	if a.Timestamp != nil {
		m.stamp = *a.Timestamp
	}
	l.clock.now()
	l.receive(m)
	return 0
}

// takeOver reads until the end. The library binds the group and gives it back, but its
// reader asks for the size of each message first and copies it several times, which
// is most of what a packet of a flood costs. So its reader is made to fail, and what it
// calls then reads in its place.
func (l *Listener) takeOver(ctx context.Context, err error) {
	for ctx.Err() == nil {
		switch {
		case errors.Is(err, unix.ENOBUFS): // messages did not fit into the socket's buffer; receive counts them
			l.overrun()
		case errors.Is(err, os.ErrDeadlineExceeded): // of listen; after Close, of the library
			if err = l.log.Con.SetReadDeadline(time.Time{}); err != nil {
				continue
			}
		default:
			l.failed <- fmt.Errorf("reading the log: %w", err)
			return
		}
		if ctx.Err() == nil {
			err = l.read()
		}
	}
}

// read takes in messages until there is an error.
func (l *Listener) read() error {
	socket, err := l.log.Con.SyscallConn()
	if err != nil {
		return err
	}
	for datagram := make([]byte, 2*batchBuffer); ; {
		n := 0
		var err error
		if waitErr := socket.Read(func(fd uintptr) bool {
			n, err = unix.Read(int(fd), datagram)
			return err != unix.EAGAIN
		}); waitErr != nil {
			return waitErr
		}
		if err != nil && err != unix.EINTR {
			return err
		}
		l.clock.now()
		for m := range messages(datagram[:max(n, 0)]) { // n is -1 after an error
			l.receive(m)
		}
	}
}

// receive takes in a message, and counts those that are missing before it.
func (l *Listener) receive(m message) {
	if m.numbered {
		expected := l.next.Swap(uint64(m.seq) + 2)
		if gap := m.seq - uint32(expected-1); expected != 0 {
			l.lost.Add(uint64(gap))
		}
	}
	p, payload, err := decode(m.payload)
	if err == nil && isLinkLocal(p.Source) {
		var zone string
		zone, err = interfaceName(l.log.Con, m.link)
		p.Source = p.Source.WithZone(zone)
	}
	if err != nil {
		l.ignored.Add(1)
		return
	}
	l.observe(l.clock.arrived(m.stamp), p, payload)
	if m.stamp.IsZero() && !l.stamping {
		l.stamping = true
		l.stampPackets()
	}
}

// stampPackets has the kernel stamp all packets that arrive, as long as the socket is there. Since
// version 5.18, Linux stamps what it logs; before, only what is stamped for somebody's
// socket anyway (net/netfilter/nfnetlink_log.c, skb_tstamp_cond in linux/skbuff.h). Without stamps a
// packet's time is when it is read, and there is nothing to be done about an error.
func (l *Listener) stampPackets() {
	if socket, err := l.log.Con.SyscallConn(); err == nil {
		socket.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1) })
	}
}
