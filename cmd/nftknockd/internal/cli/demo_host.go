package cli

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A remoteHost is a network namespace with one thread in it. What that thread
// opens belongs to the namespace for good, and may be used by any other.
type remoteHost struct {
	work chan func()
}

func newRemoteHost() (*remoteHost, error) {
	h := &remoteHost{work: make(chan func())}
	entered := make(chan error)
	go func() {
		// Never unlocked: the thread must not run anything else, ever.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		entered <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("making the client's network namespace: %w", err)
	}
	return h, nil
}

// do runs f on the host's thread.
func (h *remoteHost) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}
