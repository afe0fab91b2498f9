package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nftknock/config/internal/doc"
)

// prefixes reads addresses and prefixes, and merges those that overlap: an interval
// set of the kernel takes each address once.
func prefixes(v any) ([]netip.Prefix, error) {
	const right = `such as ["192.0.2.0/24", "2001:db8::1"]`
	all, err := doc.List(v, right, func(_ int, v any) (netip.Prefix, error) {
		s, ok := v.(string)
		if !ok {
			return netip.Prefix{}, doc.WrongKind(v, `a string, such as "192.0.2.0/24"`)
		}
		p, err := prefix(s)
		if err != nil {
			return p, fmt.Errorf("%q %w", s, err)
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	// In this order a prefix follows the one that contains it, and nothing in
	// between is outside of that.
	slices.SortFunc(all, netip.Prefix.Compare)
	merged := all[:0]
	for _, p := range all {
		if n := len(merged); n == 0 || !merged[n-1].Contains(p.Addr()) {
			merged = append(merged, p)
		}
	}
	return merged, nil
}

// prefix reads one address or prefix. Its errors continue a sentence.
func prefix(s string) (netip.Prefix, error) {
	var p netip.Prefix
	var err error
	if strings.Contains(s, "/") {
		p, err = netip.ParsePrefix(s)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(s)
		p = netip.PrefixFrom(a.WithZone(""), a.BitLen())
	}
	switch {
	case strings.Contains(s, "%"):
		return p, errors.New("has a zone, which packets do not: write it without")
	case err != nil:
		return p, errors.New("is neither an address nor a prefix: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/48")
	case p.Addr().Is4In6():
		return p, errors.New("is IPv4 written as IPv6: write it as IPv4, such as 192.0.2.0/24")
	case p.Bits() == 0:
		return p, errors.New("lets everybody in without a knock: write the networks that are trusted")
	case p != p.Masked():
		return p, fmt.Errorf("is not the beginning of the network: write %v, or %v for the one address", p.Masked(), p.Addr())
	}
	return p, nil
}
