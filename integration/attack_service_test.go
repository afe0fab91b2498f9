package integration

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

// bannerOfService is what a service says to whoever gets through to it.
const bannerOfService = "SSH-2.0-attacked\r\n"

// serveBanner runs a service on a port of the host: it says its banner, then returns each
// line that it is sent, but for the two that tell it how to end the connection. It serves
// addresses that are not the host's as well, if they are routed to it.
func (h *host) serveBanner(t testing.TB, port uint16) {
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
	err := h.in(func() (err error) {
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
	sayReset  = "reset"  // by RST
	sayFinish = "finish" // by FIN
)

func converse(c *net.TCPConn) {
	defer c.Close()
	if _, err := io.WriteString(c, bannerOfService); err != nil {
		return
	}
	for in := bufio.NewScanner(c); in.Scan(); {
		switch in.Text() {
		case sayReset:
			c.SetLinger(0)
			return
		case sayFinish:
			return
		}
		if _, err := io.WriteString(c, in.Text()+"\r\n"); err != nil {
			return
		}
	}
}

// reach connects to a service from a port of one's choice, and returns the connection when
// the banner has come.
func (h *host) reach(from, to netip.AddrPort, patience time.Duration) (net.Conn, bool) {
	c, _, _ := h.dialFrom(from, to, patience)
	if c == nil {
		return nil, false
	}
	c.SetDeadline(time.Now().Add(patience))
	if !hears(c, bannerOfService) {
		c.Close()
		return nil, false
	}
	c.SetDeadline(time.Time{})
	return c, true
}

// reaches is reach for those who only want to know.
func (h *host) reaches(from, to netip.AddrPort, patience time.Duration) bool {
	c, ok := h.reach(from, to, patience)
	if ok {
		abort(c)
	}
	return ok
}

// abort ends a connection at once, by RST, so that its port can be used again.
func abort(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// hears reports whether a text is what comes next.
func hears(c net.Conn, text string) bool {
	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	return err == nil && string(b) == text
}

// says sends a line to a service, and reports whether it comes back.
func says(c net.Conn, line string) bool {
	c.SetDeadline(time.Now().Add(aWhile))
	defer c.SetDeadline(time.Time{})
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		return false
	}
	return hears(c, line+"\r\n")
}

// end makes the service end the connection, in a way, and waits for that.
func end(t testing.TB, c net.Conn, how string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(aWhile))
	if _, err := io.WriteString(c, how+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") || len(rest) > 0 {
		t.Fatalf("the service says %q instead of ending the connection: %v", rest, err)
	}
	c.Close()
}
