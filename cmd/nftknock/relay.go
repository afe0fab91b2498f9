package main

import (
	"errors"
	"net"
	"os"
)

// relay copies in to the connection and the connection to out, until both have ended. The
// end of one is passed on at once, and the other goes on.
func relay(conn *net.TCPConn, in, out *os.File) error {
	defer conn.Close()
	sent := make(chan error, 1)
	go func() {
		err := send(conn, in)
		sent <- errors.Join(err, conn.CloseWrite())
	}()
	if err := receive(out, conn); err != nil {
		return reason(err) // in may never end
	}
	if err := end(out); err != nil {
		return err
	}
	return reason(<-sent)
}

// end tells whoever reads from a file that this was all. A socket may be standard
// input as well, so that closing it would end nothing.
func end(f *os.File) error {
	if c, err := net.FileConn(f); err == nil {
		defer c.Close()
		if c, ok := c.(interface{ CloseWrite() error }); ok {
			return c.CloseWrite()
		}
	}
	return f.Close()
}
