package lab

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ServiceBanner is what a service says to whoever gets through to it.
const ServiceBanner = "SSH-2.0-attacked\r\n"

// ServeBanner runs a service on a port of the host: it says its banner, then returns each
// line that it is sent, but for the two that tell it how to end the connection. It serves
// addresses that are not the host's as well, if they are routed to it.
func (h *Host) ServeBanner(t testing.TB, port uint16) {
	t.Helper()
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1))
		})
		return err
	}}
	var l net.Listener
	err := h.In(func() (err error) {
		l, err = lc.Listen(t.Context(), "tcp", net.JoinHostPort("", strconv.Itoa(int(port))))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve(l)
}

func serve(l net.Listener) {
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go converse(c.(*net.TCPConn))
		}
	}()
}

// What one says to a service that makes it end the connection.
const (
	SayReset  = "reset"  // by RST
	SayFinish = "finish" // by FIN
)

func converse(c *net.TCPConn) {
	defer c.Close()
	if _, err := io.WriteString(c, ServiceBanner); err != nil {
		return
	}
	for in := bufio.NewScanner(c); in.Scan(); {
		switch in.Text() {
		case SayReset:
			c.SetLinger(0)
			return
		case SayFinish:
			return
		}
		if _, err := io.WriteString(c, in.Text()+"\r\n"); err != nil {
			return
		}
	}
}

// Reach connects to a service from a port of one's choice, and returns the connection when
// the banner has come.
func (h *Host) Reach(from, to netip.AddrPort, timeout time.Duration) (net.Conn, bool) {
	c, _, _ := h.DialFrom(from, to, timeout)
	if c == nil {
		return nil, false
	}
	c.SetDeadline(time.Now().Add(timeout))
	if !hears(c, ServiceBanner) {
		c.Close()
		return nil, false
	}
	c.SetDeadline(time.Time{})
	return c, true
}

// Reaches is Reach for those who only want to know.
func (h *Host) Reaches(from, to netip.AddrPort, timeout time.Duration) bool {
	c, ok := h.Reach(from, to, timeout)
	if ok {
		Abort(c)
	}
	return ok
}

// Abort ends a connection at once, by RST, so that its port can be used again.
func Abort(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// hears reports whether a text is what comes next.
func hears(c net.Conn, text string) bool {
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	return err == nil && string(b) == text
}

// Says sends a line to a service, and reports whether it comes back.
func Says(c net.Conn, line string) bool {
	c.SetDeadline(time.Now().Add(Timeout))
	defer c.SetDeadline(time.Time{})
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		return false
	}
	return hears(c, line+"\r\n")
}

// End makes the service end the connection, in a way, and waits for that.
func End(t testing.TB, c net.Conn, how string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(Timeout))
	if _, err := io.WriteString(c, how+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") || len(rest) > 0 {
		t.Fatalf("the service says %q instead of ending the connection: %v", rest, err)
	}
	c.Close()
}
