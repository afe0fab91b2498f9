//go:build !unix

package relay

import (
	"errors"
	"net"
	"os"
)

const CanHandOver = false

// HandOver is for systems that can give a connection to another program.
func HandOver(*net.TCPConn, *os.File) error {
	return errors.New("--fdpass does not work on this system: leave it out, and ProxyUseFdpass too")
}

// end tells whoever reads from a file that this was all.
func end(f *os.File) error { return f.Close() }
