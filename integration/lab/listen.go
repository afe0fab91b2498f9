package lab

import (
	"net"
	"strconv"
	"testing"
)

// EchoUDP answers each datagram that arrives at a port of the host with the
// same datagram.
func (h *Host) EchoUDP(t testing.TB, port uint16) {
	t.Helper()
	// Two sockets, since an answer has to leave from the address that was
	// asked, and one for both families is bound to none.
	for _, network := range []string{"udp4", "udp6"} {
		var c *net.UDPConn
		err := h.In(func() (err error) {
			c, err = net.ListenUDP(network, &net.UDPAddr{Port: int(port)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 1500)
			for {
				n, from, err := c.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				c.WriteToUDPAddrPort(b[:n], from)
			}
		}()
	}
}

// ListenTCP listens on a port of all addresses of the host. Its connections
// send nothing by themselves.
func (h *Host) ListenTCP(t testing.TB, port uint16) net.Listener {
	t.Helper()
	var l net.Listener
	err := h.In(func() (err error) {
		lc := net.ListenConfig{KeepAlive: -1}
		l, err = lc.Listen(t.Context(), "tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
