package lab

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

// An Answer is what comes back to somebody who tries a port.
type Answer string

const (
	Open    Answer = "open"
	Refused Answer = "refused"
	Silent  Answer = "silent"
	broken  Answer = "broken" // none of these
)

// BriefTimeout is how long a port that nobody answers on is tried. The counter of
// what was shut out tells that the packet was there; waiting longer would
// prove nothing more.
const BriefTimeout = 700 * time.Millisecond

// Dial tries a TCP port. The connection is nil unless the port is open.
func (h *Host) Dial(from netip.Addr, to netip.AddrPort, timeout time.Duration) (net.Conn, Answer, error) {
	return h.DialFrom(netip.AddrPortFrom(from, 0), to, timeout)
}

// DialFrom is Dial from a port of the caller's choice.
func (h *Host) DialFrom(from, to netip.AddrPort, timeout time.Duration) (net.Conn, Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var c net.Conn
	err := h.In(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), KeepAlive: -1}
		c, err = d.DialContext(ctx, "tcp", to.String())
		return err
	})
	switch {
	case err == nil:
		return c, Open, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return nil, Refused, err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return nil, Silent, err
	}
	return nil, broken, err
}

// Ask sends a datagram to a UDP port, and says what came back: open if that
// was the same datagram.
func (h *Host) Ask(from, to netip.AddrPort, timeout time.Duration) (Answer, error) {
	const question = "is anybody there?"
	deadline := time.Now().Add(timeout)
	var c net.Conn
	err := h.In(func() (err error) {
		d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(from)}
		// A program that another test is starting has a copy of a socket that was just closed, until it runs.
		for c, err = d.Dial("udp", to.String()); errors.Is(err, unix.EADDRINUSE) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
			c, err = d.Dial("udp", to.String())
		}
		return err
	})
	if err != nil {
		return broken, err
	}
	defer c.Close()
	c.SetDeadline(deadline)
	if _, err := c.Write([]byte(question)); err != nil {
		return broken, err
	}
	reply := make([]byte, 100)
	n, err := c.Read(reply)
	switch {
	case err == nil && string(reply[:n]) == question:
		return Open, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Silent, err
	}
	return broken, err
}

// Try tries a port of the server, in knock(1)'s notation: "22", "51820:udp".
func (s *Topology) Try(t testing.TB, from netip.Addr, port string, timeout time.Duration) (Answer, error) {
	t.Helper()
	number, proto, _ := strings.Cut(port, ":")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(s.Addr, uint16(n))
	if proto == "udp" {
		return s.Client.Ask(netip.AddrPortFrom(from, 0), to, timeout)
	}
	c, a, err := s.Client.Dial(from, to, timeout)
	if c != nil {
		c.Close()
	}
	return a, err
}

// ExpectOpen waits until the server answers on a port.
func (s *Topology) ExpectOpen(t testing.TB, from netip.Addr, port string) {
	t.Helper()
	for deadline := time.Now().Add(Timeout); ; time.Sleep(PollInterval) {
		a, err := s.Try(t, from, port, BriefTimeout)
		if a == Open {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("port %s is %s to %v, and should be open: %v", port, a, from, err)
		}
	}
}

// ExpectShut makes sure that a port answers as a shut door does, and that it
// was the gate that kept it shut: silence alone could have many reasons.
func (s *Topology) ExpectShut(t testing.TB, from netip.Addr, port string, as Answer) {
	t.Helper()
	timeout := BriefTimeout
	if as != Silent {
		timeout = Timeout
	}
	before := s.Server.ShutOut(t)
	if a, err := s.Try(t, from, port, timeout); a != as {
		t.Fatalf("port %s is %s to %v, and should be shut and %s: %v", port, a, from, as, err)
	}
	Eventually(t, "the gate has counted whom it shut out", func() bool { return s.Server.ShutOut(t) > before })
}
