package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection goes on when its door has shut, over a new installation and somebody's flush, and is
// forgotten when it has ended. Connection tracking has no part in it.
func TestUp(t *testing.T) {
	inNetNS(t)
	p := neighbour(t)
	l, err := net.Listen("tcp4", "192.0.2.1:22")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := spec(door("ssh", tcp(22)))
	older := p.connect(t, l)
	table := open(t, s)
	older.check(t, "older than the table")

	if c, err := p.dial(22, 300*time.Millisecond); err == nil {
		c.Close()
		t.Fatal("the door is open")
	}
	who := netip.MustParseAddr("192.0.2.2")
	grant(t, table, "ssh", who.String(), time.Minute, "knock")
	c, quiet := p.connect(t, l), p.connect(t, l)
	revoke(t, table, "ssh", who.String())
	c.check(t, "the door has shut")
	quiet.check(t, "the door has shut before anybody has said anything")
	table = open(t, s)
	c.check(t, "installed again")
	nftCommand(t, "", "flush", "ruleset")
	if err := table.Restore(); err != nil {
		t.Fatal(err)
	}
	c.check(t, "flushed, and restored")
	older.check(t, "older than the table, and all that")

	if got, err := Inspect("nftknock"); err != nil || got.Guards[0].Shut != 0 {
		t.Errorf("%+v, %v", got, err) // nothing was shut out since the flush
	}
	c.server.Close()
	older.server.Close()
	quiet.server.Close()
	eventually(t, "all are remembered as ended", func() bool {
		return entries(t, "up4") == 0 && entries(t, "begun4") == 0 && entries(t, "closing4") == 3
	})
	if b, err := os.ReadFile("/proc/thread-self/net/nf_conntrack"); err == nil && len(b) > 0 {
		t.Errorf("connections are tracked:\n%s", b)
	}
	if b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count"); err == nil && strings.TrimSpace(string(b)) != "0" {
		t.Errorf("%s connections are tracked", b)
	}
}

// What somebody has put into the sets of flows by hand is gone again.
func TestForeignFlow(t *testing.T) {
	inNetNS(t)
	table := open(t, spec(door("ssh", tcp(22))))
	w, err := table.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	nftCommand(t, "add element inet nftknock up4 { 203.0.113.7 . 1000 . 192.0.2.1 . 22 . tcp timeout 5d }", "-f", "-")
	select {
	case <-w.Changed():
	case <-time.After(10 * time.Second):
		t.Fatal("not heard of")
	}
	if err := table.Restore(); err != nil {
		t.Fatal(err)
	}
	if n := entries(t, "up4"); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func entries(t *testing.T, set string) int {
	t.Helper()
	return strings.Count(nftCommand(t, "", "list", "set", "inet", "nftknock", set), " . tcp")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so: %s\n%s", what, nftCommand(t, "", "list", "ruleset"))
		}
	}
}

type connection struct{ client, server net.Conn }

func (p *peer) connect(t *testing.T, l net.Listener) connection {
	t.Helper()
	client, err := p.dial(22, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { errors.Join(client.Close(), server.Close()) })
	return connection{client, server}
}

// dial connects from the peer's namespace to a port.
func (p *peer) dial(port int, timeout time.Duration) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		if err = unix.Setns(int(p.ns.Fd()), unix.CLONE_NEWNET); err == nil {
			c, err = net.DialTimeout("tcp4", fmt.Sprintf("192.0.2.1:%d", port), timeout)
		}
	}()
	<-done
	return c, err
}

func (c connection) check(t *testing.T, when string) {
	t.Helper()
	for _, pair := range [][2]net.Conn{{c.client, c.server}, {c.server, c.client}} {
		pair[1].SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := pair[0].Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := pair[1].Read(make([]byte, 1)); err != nil {
			t.Fatalf("%s: %v is cut off: %v", when, c.client.LocalAddr(), err)
		}
	}
}
