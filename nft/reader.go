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
	if a.Payload != nil {
		m.payload = *a.Payload
	}
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
	if err != nil {
		l.ignored.Add(1)
		return
	}
	l.observe(p, payload)
}
