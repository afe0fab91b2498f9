package knocker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"nftknock/config/profile"
)

const (
	// maxAddresses is how many addresses of a family are tried, one after the other, before
	// a host is given up. Names of large services have dozens.
	maxAddresses = 4

	// maxResolved is how many of the addresses that a resolver returns are looked at.
	maxResolved = 64
)

// addresses resolves a target's host, once, to the addresses to knock at: each group has
// one of each family, and the groups are in the order that the system prefers. Those
// that this machine has no way to are left out: ssh will not get there either.
func addresses(t *Target) ([][]netip.Addr, error) {
	family := t.Family
	if t.Source.IsValid() && family == profile.AnyFamily {
		family = familyOf(t.Source)
	}
	all, err := resolve(t.Host)
	if err != nil {
		return nil, err
	}
	var reached []netip.Addr
	seen := make(map[netip.Addr]bool)
	count := make(map[profile.Family]int)
	unreachable := make(map[profile.Family]error)
	for _, a := range all[:min(len(all), maxResolved)] {
		f := familyOf(a)
		if family != profile.AnyFamily && f != family || seen[a] || count[f] == maxAddresses {
			continue
		}
		seen[a] = true
		if err := reach(t.Source, a); err != nil {
			if unreachable[f] == nil {
				unreachable[f] = err
			}
			continue
		}
		count[f]++
		reached = append(reached, a)
	}
	switch {
	case len(seen) == 0:
		return nil, fmt.Errorf("%s has no address of the family %s", t.Host, family)
	case len(reached) == 0:
		return nil, errors.Join(unreachable[profile.IPv4], unreachable[profile.IPv6])
	}
	return group(reached, t.OTPSecret != ""), nil
}

// resolve returns the addresses of a host, with their zones.
func resolve(host string) ([]netip.Addr, error) {
	name, err := profile.LookupHost(host)
	if err != nil {
		return nil, fmt.Errorf("the host %w", err)
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, zoneExists(a)
	}
	found, err := net.DefaultResolver.LookupIPAddr(context.Background(), name)
	if problem, ok := errors.AsType[*net.DNSError](err); ok {
		return nil, fmt.Errorf("%s cannot be looked up: %s", host, problem.Err)
	}
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, 0, len(found))
	for _, f := range found {
		if a, ok := netip.AddrFromSlice(f.IP); ok {
			addrs = append(addrs, a.Unmap().WithZone(f.Zone))
		}
	}
	return addrs, nil
}

// zoneExists makes sure that an address's zone is an interface of this machine, by name
// or by number. The system says no more than "invalid argument".
func zoneExists(a netip.Addr) error {
	if a.Zone() == "" {
		if a.Is6() && a.IsLinkLocalUnicast() {
			return fmt.Errorf("%v is on every link of this machine: write which one, such as %[1]v%%eth0", a)
		}
		return nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil // then the system says what it does not like
	}
	for _, i := range interfaces {
		if a.Zone() == i.Name || a.Zone() == fmt.Sprint(i.Index) {
			return nil
		}
	}
	return fmt.Errorf("%v: this machine has no interface %q", a, a.Zone())
}

// group makes groups of one address of each family, or of one address each: a code is
// good once, so that at a second address it would be spent already.
func group(reached []netip.Addr, single bool) (groups [][]netip.Addr) {
	count := make(map[profile.Family]int)
	for i, a := range reached {
		n := count[familyOf(a)]
		count[familyOf(a)]++
		if single {
			if n = i; n == maxAddresses {
				break
			}
		}
		if n == len(groups) {
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], a)
	}
	return groups
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
	c, err := dialer("udp", source, to).Dial("udp", netip.AddrPortFrom(to, discard).String())
	if errors.Is(err, syscall.EADDRNOTAVAIL) && source.IsValid() {
		return fmt.Errorf("%v is not an address of this machine: knock from one that is, or leave the source out", source)
	}
	if err != nil {
		return fmt.Errorf("%v cannot be reached: %w", to, Reason(err))
	}
	return c.Close()
}

// dialer returns one that dials from the source. A link-local source is on the link of
// the address to dial, unless it says itself which it is on.
func dialer(network string, source, to netip.Addr) *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	if source.IsValid() {
		if source.IsLinkLocalUnicast() && source.Zone() == "" {
			source = source.WithZone(to.Zone())
		}
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

// Reason takes from an error of package net the ports, which are secrets.
func Reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
