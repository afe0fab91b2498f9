package integration

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An answer is what comes back to somebody who tries a port.
type answer string

const (
	open    answer = "open"
	refused answer = "refused"
	silent  answer = "silent"
	broken  answer = "broken" // none of these
)

// notLong is how long a port that nobody answers on is tried. The counter of
// what was shut out tells that the packet was there; waiting longer would
// prove nothing more.
const notLong = 700 * time.Millisecond

// dial tries a TCP port. The connection is nil unless the port is open.
func (h *host) dial(from netip.Addr, to netip.AddrPort, patience time.Duration) (net.Conn, answer, error) {
	return h.dialFrom(netip.AddrPortFrom(from, 0), to, patience)
}

// dialFrom is dial from a port of the caller's choice.
func (h *host) dialFrom(from, to netip.AddrPort, patience time.Duration) (net.Conn, answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var c net.Conn
	err := h.in(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), KeepAlive: -1}
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	switch {
	case err == nil:
		return c, open, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return nil, refused, err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return nil, silent, err
	}
	return nil, broken, err
}

// ask sends a datagram to a UDP port, and says what came back: open if that
// was the same datagram.
func (h *host) ask(from, to netip.AddrPort, patience time.Duration) (answer, error) {
	const question = "is anybody there?"
	var c net.Conn
	err := h.in(func() (err error) {
		d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(from)}
		c, err = d.Dial("udp", to.String())
		return err
	})
	if err != nil {
		return broken, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(question)); err != nil {
		return broken, err
	}
	reply := make([]byte, 100)
	n, err := c.Read(reply)
	switch {
	case err == nil && string(reply[:n]) == question:
		return open, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return refused, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return silent, err
	}
	return broken, err
}

// try tries a port of the server, in knock(1)'s notation: "22", "51820:udp".
func (s *site) try(t testing.TB, from netip.Addr, port string, patience time.Duration) (answer, error) {
	t.Helper()
	number, proto, _ := strings.Cut(port, ":")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(s.addr, uint16(n))
	if proto == "udp" {
		return s.client.ask(netip.AddrPortFrom(from, 0), to, patience)
	}
	c, a, err := s.client.dial(from, to, patience)
	if c != nil {
		c.Close()
	}
	return a, err
}

// expectOpen waits until the server answers on a port.
func (s *site) expectOpen(t testing.TB, from netip.Addr, port string) {
	t.Helper()
	for deadline := time.Now().Add(aWhile); ; time.Sleep(pollPause) {
		a, err := s.try(t, from, port, notLong)
		if a == open {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("port %s is %s to %v, and should be open: %v", port, a, from, err)
		}
	}
}

// expectShut makes sure that a port answers as a shut door does, and that it
// was the gate that kept it shut: silence alone could have many reasons.
func (s *site) expectShut(t testing.TB, from netip.Addr, port string, as answer) {
	t.Helper()
	patience := notLong
	if as != silent {
		patience = aWhile
	}
	before := s.server.shutOut(t)
	if a, err := s.try(t, from, port, patience); a != as {
		t.Fatalf("port %s is %s to %v, and should be shut and %s: %v", port, a, from, as, err)
	}
	eventually(t, "the gate has counted whom it shut out", func() bool { return s.server.shutOut(t) > before })
}
