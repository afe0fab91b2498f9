package knocker

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"nftknock/knock"
)

// hit knocks once: it sends one SYN or one datagram. An error means that it could not
// be sent; what is answered does not matter.
func hit(source, to netip.Addr, port knock.Port) error {
	at := netip.AddrPortFrom(to, port.Number).String()
	if port.Proto == knock.UDP {
		return hitUDP(source, to, at)
	}
	return hitTCP(source, to, at)
}

func hitUDP(source, to netip.Addr, at string) error {
	c, err := dialer("udp", source, to).Dial("udp", at)
	if err != nil {
		return Reason(err)
	}
	defer c.Close()
	_, err = c.Write([]byte{0}) // what knock(1) sends
	return Reason(err)
}

// hitTCP begins to connect and gives up at once, so that the SYN is never sent again.
//
// That it is sent even so: between the callback and connect(2), package net does not look
// at the context. On Windows it does; there a SYN is sent again after 500 ms at the
// earliest.
func hitTCP(source, to netip.Addr, at string) error {
	var timeout time.Duration
	if runtime.GOOS == "windows" {
		timeout = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := dialer("tcp", source, to)
	d.Control = func(string, string, syscall.RawConn) error {
		time.AfterFunc(timeout, cancel)
		return nil
	}
	c, err := d.DialContext(ctx, "tcp", at)
	if err == nil {
		return c.Close()
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) { // no local port is free
		return Reason(err)
	}
	// Refused, or a router that knows no way on: both are answers. If it is this
	// machine that knows none, there is none for a datagram either.
	return reach(source, to)
}
