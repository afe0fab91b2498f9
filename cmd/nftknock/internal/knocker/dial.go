package knocker

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// headStart is what the preferred address has before the next one is tried as well:
	// the Connection Attempt Delay of RFC 8305, section 5.
	headStart = 250 * time.Millisecond

	// refusedPause is how long to wait before a port that has refused is tried again.
	refusedPause = 100 * time.Millisecond
)

// A Dial tries a TCP port once, with a dialer that is its own to change.
type Dial func(context.Context, *net.Dialer, netip.AddrPort) (net.Conn, error)

// Connect makes a connection to keep.
func Connect(ctx context.Context, d *net.Dialer, to netip.AddrPort) (net.Conn, error) {
	d.KeepAlive = 0 // the default: it may last
	return d.DialContext(ctx, "tcp", to.String())
}

// Touch finds out whether a port answers, and leaves as little of it as the system lets
// it: see [hastily]. The connection that it returns is closed.
func Touch(ctx context.Context, d *net.Dialer, to netip.AddrPort) (net.Conn, error) {
	d.Control = hastily
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	c.(*net.TCPConn).SetLinger(0) // a reset, not an end
	c.Close()
	return c, nil
}

// race dials the addresses side by side, each a delay after the one before it, and returns the
// first connection that is made within the timeout.
func race(at []netip.Addr, delay, timeout time.Duration, dial func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	type outcome struct {
		conn net.Conn
		err  error
	}
	outcomes := make(chan outcome)
	for i, a := range at {
		go func() {
			sleep(ctx, time.Duration(i)*delay)
			c, err := dial(ctx, a)
			outcomes <- outcome{c, err}
		}()
	}
	var first net.Conn
	var why error
	for range at {
		switch o := <-outcomes; {
		case o.err != nil:
			why = o.err
		case first == nil:
			first = o.conn
			cancel()
		default:
			o.conn.Close()
		}
	}
	if first == nil {
		return nil, why
	}
	return first, nil
}

// dialOnce tries the target's port.
func (k *Knocker) dialOnce(ctx context.Context, a netip.Addr) (net.Conn, error) {
	c, err := k.Dial(ctx, dialer("tcp", k.Source, a), netip.AddrPortFrom(a, k.Wait))
	if err != nil {
		return nil, Reason(err)
	}
	return c, nil
}

// dialStubbornly tries until the context ends. Its error is that of the last try.
func (k *Knocker) dialStubbornly(ctx context.Context, a netip.Addr) (net.Conn, error) {
	for {
		c, err := k.dialOnce(ctx, a)
		if err == nil || !sleep(ctx, refusedPause) {
			return c, err
		}
	}
}

// sleep reports whether the context has lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
