package functional

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestOlderSession has a connection that was up before the daemon started,
// and that the kernel did not track: nobody had asked it to. It goes on,
// whoever speaks first.
func TestOlderSession(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, first := range []string{"client", "server"} {
			t.Run(first+" speaks first", func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				l := s.Server.ListenTCP(t, 22)
				client, a, err := s.Client.Dial(s.Source, netip.AddrPortFrom(s.Addr, 22), lab.Timeout)
				if a != lab.Open {
					t.Fatal(err)
				}
				defer client.Close()
				server, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				if n := trackedConnections(t, s.Server); n != "0" {
					t.Fatalf("the kernel tracks %s connections: the test proves nothing", n)
				}

				lab.StartDaemon(t, s.Server, lab.SSHDoor)
				if first == "client" {
					expectTransfer(t, client, server)
					expectTransfer(t, server, client)
				} else {
					expectTransfer(t, server, client)
					expectTransfer(t, client, server)
				}
				s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
			})
		}
	})
}

// trackedConnections returns how many connections the host's kernel keeps track of.
func trackedConnections(t *testing.T, h *lab.Host) string {
	t.Helper()
	var n string
	err := h.In(func() error {
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
	to.SetReadDeadline(time.Now().Add(lab.Timeout))
	b := make([]byte, len(text))
	if _, err := io.ReadFull(to, b); err != nil {
		t.Fatalf("the connection between %v and %v is cut: %v", from.LocalAddr(), from.RemoteAddr(), err)
	}
}
