// Package relay is between a connection and whoever has started this program: it copies, or
// hands the connection over.
package relay

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// Copy copies in to the connection and the connection to out, until both have ended. The
// end of one is passed on at once, and the other goes on.
//
// The connection ends with the program. Closing it would have to wait for whoever reads
// from in, which may never end.
func Copy(conn *net.TCPConn, in, out *os.File) error {
	sent := make(chan error, 1)
	go func() {
		err := send(conn, in)
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	switch err := receive(out, conn); {
	case errors.Is(err, syscall.EPIPE):
		return nil // whoever reads, such as an ssh that has logged out, has ended first
	case err != nil:
		return err
	}
	if err := end(out); err != nil {
		return err
	}
	return <-sent
}
