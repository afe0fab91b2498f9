package main

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

// dialAny tries the target's port at all of the addresses until one answers.
func dialAny(t *target, at []netip.Addr, patience time.Duration) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	type outcome struct {
		conn net.Conn
		err  error
	}
	outcomes := make(chan outcome)
	for i, a := range at {
		go func() {
			sleep(ctx, time.Duration(i)*headStart)
			c, err := dialStubbornly(ctx, t, a)
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
	return first.(*net.TCPConn), nil
}

// dialStubbornly tries until the context ends. Its error is that of the last try.
func dialStubbornly(ctx context.Context, t *target, a netip.Addr) (net.Conn, error) {
	d := dialer("tcp", t.Source)
	d.KeepAlive = 0 // the default: of a stream that may last
	for {
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, t.Wait).String())
		if err == nil {
			return c, nil
		}
		if !sleep(ctx, refusedPause) {
			return nil, reason(err)
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
