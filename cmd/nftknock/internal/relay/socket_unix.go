//go:build unix

package relay

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// CanHandOver is that [HandOver] works.
const CanHandOver = true

// HandOver gives the connection itself to whoever has started this program with a socket
// for standard output (unix(7), SCM_RIGHTS), and has no more to do with it.
func HandOver(conn *net.TCPConn, out *os.File) error {
	c, err := net.FileConn(out)
	if err != nil {
		return errNoSocket
	}
	defer c.Close()
	to, ok := c.(*net.UnixConn)
	if !ok {
		return errNoSocket
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		_, _, failure = to.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(fd)), nil) // one byte has to go with it
	})
	return errors.Join(err, failure)
}

var errNoSocket = errors.New("--fdpass needs standard output to be a socket: write ProxyUseFdpass yes in ssh_config")

// end tells whoever reads from a file that this was all. A socket may be standard input
// as well, so that closing it would end nothing.
func end(f *os.File) error {
	if syscall.Shutdown(int(f.Fd()), syscall.SHUT_WR) == nil {
		return nil
	}
	return f.Close()
}
