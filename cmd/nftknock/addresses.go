package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"nftknock/config/profile"
)

// addresses resolves a target's host, once, to the addresses to knock at: the first
// of each family, in the order that the system prefers. Those that this machine has no
// way to are left out while there are others: ssh will not get there either.
func addresses(t *target) ([]netip.Addr, error) {
	family := t.Family
	if t.Source.IsValid() && family == profile.AnyFamily {
		family = familyOf(t.Source)
	}
	all, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", t.Host)
	if err != nil {
		return nil, err
	}
	first := make(map[profile.Family]bool)
	var found, reached []netip.Addr
	var unreachable error
	for _, a := range all {
		a = a.Unmap()
		f := familyOf(a)
		if family != profile.AnyFamily && f != family || first[f] {
			continue
		}
		first[f] = true
		found = append(found, a)
		if err := reach(t.Source, a); err != nil {
			unreachable = errors.Join(unreachable, err)
			continue
		}
		reached = append(reached, a)
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%s has no address of the family %s", t.Host, family)
	case len(reached) == 0:
		return nil, unreachable
	case t.OTPSecret != "":
		// A code is good once: at a second address it would be spent already.
		return reached[:1], nil
	}
	return reached, nil
}

func familyOf(a netip.Addr) profile.Family {
	if a.Is4() {
		return profile.IPv4
	}
	return profile.IPv6
}

// reach makes sure that there is a way from the source to an address. It sends
// nothing: connecting a UDP socket only looks for the way.
func reach(source, to netip.Addr) error {
	const discard = 9
	c, err := dialer("udp", source).Dial("udp", netip.AddrPortFrom(to, discard).String())
	if err != nil {
		return fmt.Errorf("%v cannot be reached: %w", to, reason(err))
	}
	return c.Close()
}

// dialer returns one that dials from the source.
func dialer(network string, source netip.Addr) *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	if source.IsValid() {
		from := netip.AddrPortFrom(source, 0)
		switch network {
		case "tcp":
			d.LocalAddr = net.TCPAddrFromAddrPort(from)
		case "udp":
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	return d
}

// reason takes from an error of package net the ports, which are secrets.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
