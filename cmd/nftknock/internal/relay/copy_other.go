//go:build !linux

package relay

import (
	"io"
	"net"
	"os"
)

// send copies to the connection until in ends.
func send(conn *net.TCPConn, in *os.File) error {
	_, err := io.Copy(conn, in)
	return err
}

// receive copies from the connection until that ends.
func receive(out *os.File, conn *net.TCPConn) error {
	_, err := io.Copy(out, conn)
	return err
}
