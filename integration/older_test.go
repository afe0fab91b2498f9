package integration

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestOlderSession has a connection that was up before the daemon started,
// and that the kernel did not track: nobody had asked it to. It goes on,
// whoever speaks first.
func TestOlderSession(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, first := range []string{"client", "server"} {
			t.Run(first+" speaks first", func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				l := s.server.listenTCP(t, 22)
				client, a, err := s.client.dial(s.person, netip.AddrPortFrom(s.addr, 22), aWhile)
				if a != open {
					t.Fatal(err)
				}
				defer client.Close()
				server, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				if n := s.server.tracked(t); n != "0" {
					t.Fatalf("the kernel tracks %s connections: the test proves nothing", n)
				}

				startDaemon(t, s.server, sshDoor)
				if first == "client" {
					expectTransfer(t, client, server)
					expectTransfer(t, server, client)
				} else {
					expectTransfer(t, server, client)
					expectTransfer(t, client, server)
				}
				s.expectShut(t, s.neighbour, "22", silent)
			})
		}
	})
}

// tracked returns how many connections the host's kernel keeps track of.
func (h *host) tracked(t *testing.T) string {
	t.Helper()
	var n string
	err := h.in(func() error {
		f, err := os.Open("/proc/sys/net/netfilter/nf_conntrack_count")
		if os.IsNotExist(err) { // the module is not even loaded
			n = "0"
			return nil
		} else if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fscan(f, &n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// expectTransfer makes sure that what one end of a connection sends reaches
// the other.
func expectTransfer(t *testing.T, from, to net.Conn) {
	t.Helper()
	const text = "are you still there?"
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(aWhile))
	b := make([]byte, len(text))
	if _, err := io.ReadFull(to, b); err != nil {
		t.Fatalf("the connection between %v and %v is cut: %v", from.LocalAddr(), from.RemoteAddr(), err)
	}
}
