//go:build !unix

package main

import (
	"errors"
	"net"
	"os"
)

const canHandOver = false

// handOver is for systems that can give a connection to another program.
func handOver(*net.TCPConn, *os.File) error {
	return errors.New("--fdpass is not possible on this system: leave it out, and ProxyUseFdpass too")
}

// end tells whoever reads from a file that this was all.
func end(f *os.File) error { return f.Close() }
