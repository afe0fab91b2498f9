// Package kernel is what a gate needs of the kernel, so that a test can refuse what the kernel
// seldom does.
package kernel

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
	"nftknock/nft"
)

// A Table is what a gate needs of an [nft.Table].
type Table interface {
	grant.Table
	Replace(*nft.Ruleset) error
	Restore() error
	Remove() error
	Owned() bool
	Watch() (*nft.Watcher, error)
	Close() error
}

// A Listener is what a gate needs of an [nft.Listener].
type Listener interface {
	Failed() <-chan error
	Lost() uint64
	Close() error
}

var (
	_ Table    = (*nft.Table)(nil)
	_ Listener = (*nft.Listener)(nil)
)

// Listen is [nft.Listen].
func Listen(group uint16, observe func(arrived time.Time, p knock.Packet, payload []byte), lost func()) (Listener, error) {
	l, err := nft.Listen(group, observe, lost)
	if err != nil {
		return nil, err // not a nil of another type
	}
	return l, nil
}

// Install is [nft.Open].
func Install(r *nft.Ruleset, own bool) (Table, error) {
	t, err := nft.Open(r, own)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Passing reports whether an error of the kernel's may go by itself.
func Passing(err error) bool {
	for _, errno := range []unix.Errno{unix.ENOMEM, unix.ENOBUFS, unix.EAGAIN, unix.EINTR, unix.EBUSY} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// NoListener is the Listener of a gate that hears no knocks.
type NoListener struct{}

func (NoListener) Failed() <-chan error { return nil }
func (NoListener) Lost() uint64         { return 0 }
func (NoListener) Close() error         { return nil }

var _ Listener = NoListener{}
