package knocker

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// hastily prepares a socket that is closed as soon as the port has answered. The kernel
// holds back the third segment of the handshake (tcp(7), TCP_QUICKACK; net/ipv4/tcp_input.c,
// tcp_rcv_synsent_state_process), and the reset goes in its place: the program at the port
// never sees a connection, and has none to log.
func hastily(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Without it the program sees a connection that was reset.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	})
}
