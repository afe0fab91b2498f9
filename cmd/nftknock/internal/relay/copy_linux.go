package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pipeSize is how much a pipe to the other program should hold, in bytes. With the 64 KiB
// of the default the programs wait for each other; with much more, those who have
// many of them would run out of what their pipes may hold (pipe(7), pipe-user-pages-soft).
const pipeSize = 256 << 10

// send copies to the connection until in ends. ssh gives its ProxyCommand pipes, and
// between those and a socket the kernel moves pages without copying them (splice(2)).
func send(conn *net.TCPConn, in *os.File) error {
	if pipe, ok := blockingPipe(in); ok {
		defer runtime.KeepAlive(in)
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		return splice(raw.Write, func(socket int) (int64, error) {
			n, err := unix.Splice(pipe, nil, socket, nil, pipeSize, 0)
			return int64(n), err // an int on 32 bits
		})
	}
	_, err := io.Copy(conn, in)
	return err
}

// receive copies from the connection until that ends.
func receive(out *os.File, conn *net.TCPConn) error {
	if pipe, ok := blockingPipe(out); ok {
		defer runtime.KeepAlive(out)
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		return splice(raw.Read, func(socket int) (int64, error) {
			n, err := unix.Splice(socket, nil, pipe, nil, pipeSize, 0)
			return int64(n), err // an int on 32 bits
		})
	}
	_, err := io.Copy(out, conn)
	return err
}

// blockingPipe reports whether a file is a pipe that waits, and makes it large. One that
// does not wait would have to be polled as well as the socket; it is for io.Copy.
func blockingPipe(f *os.File) (fd int, ok bool) {
	fd = int(f.Fd())
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return fd, false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		return fd, false
	}
	unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) // it works without
	return fd, true
}

// splice moves until there is nothing more. Whenever the socket is not ready, the move
// is not done, and tried again when it is.
func splice(whenReady func(func(uintptr) bool) error, move func(socket int) (int64, error)) error {
	for {
		var n int64
		var failure error
		err := whenReady(func(fd uintptr) (done bool) {
			n, failure = move(int(fd))
			return !errors.Is(failure, unix.EAGAIN)
		})
		switch {
		case err != nil:
			return err
		case errors.Is(failure, unix.EINTR):
		case failure != nil:
			return os.NewSyscallError("splice", failure)
		case n == 0:
			return nil
		}
	}
}
