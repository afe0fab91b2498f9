package grant

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A Source is whom a grant lets in: an address or a prefix, and of a link-local address
// the interface.
type Source struct {
	Prefix netip.Prefix
	Zone   string
}

// ParseSource reads a source as people write it: 203.0.113.7, 2001:db8::/64, fe80::1%eth0.
func ParseSource(s string) (Source, error) {
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return Source{Prefix: p.Masked()}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" && (!a.IsLinkLocalUnicast() || len(a.Zone()) > maxZone) {
		return Source{}, &PrefixError{"invalid source: want an address or a prefix, such as 203.0.113.7, 2001:db8::/64 or fe80::1%eth0"}
	}
	return SourceOf(a.Unmap()), nil
}

// maxZone is how long an interface's name can be (IFNAMSIZ).
const maxZone = 15

// SourceOf returns the source that is one address.
func SourceOf(a netip.Addr) Source {
	return Source{netip.PrefixFrom(a.WithZone(""), a.BitLen()), a.Zone()}
}

// String returns the source as people write it.
func (s Source) String() string {
	if s.Prefix.IsSingleIP() {
		return s.Prefix.Addr().WithZone(s.Zone).String()
	}
	return s.Prefix.String()
}

// Overlaps reports whether a grant of the table has anything to do with a source. One that
// is not valid is everybody; a link-local address without its interface is that of each link.
func (s Source) Overlaps(e nft.Grant) bool {
	return !s.Prefix.IsValid() || s.Prefix.Overlaps(e.Source) && (s.Zone == "" || s.Zone == e.Zone)
}

// IsLinkLocal reports whether a source means another host on each link.
func (s Source) IsLinkLocal() bool {
	return s.Prefix.Addr().Is6() && s.Prefix.Addr().IsLinkLocalUnicast()
}

// widthAt returns how many bits of a source's address a door lets in with a knock, and the key
// that says so. A link-local one is let in alone.
func (s Source) widthAt(door *knock.Door) (bits int, key string) {
	switch {
	case s.IsLinkLocal():
		return s.Prefix.Addr().BitLen(), "ipv6_prefix"
	case s.Prefix.Addr().Is6():
		return door.IPv6Prefix, "ipv6_prefix"
	}
	return door.IPv4Prefix, "ipv4_prefix"
}

// Widen returns what a door lets in with a source, so that a later knock from there renews it. What is
// wider already stays as it is.
func (s Source) Widen(door *knock.Door) Source {
	if bits, _ := s.widthAt(door); bits < s.Prefix.Bits() {
		s.Prefix, _ = s.Prefix.Addr().Prefix(bits)
	}
	return s
}

// IsWide reports whether a source is wider than what a knock lets in.
func (s Source) IsWide(door *knock.Door) bool {
	bits, _ := s.widthAt(door)
	return s.Prefix.Bits() < bits
}

// The widest prefixes that are granted. Wider ones are for the configuration.
const (
	widestIPv4 = 8
	widestIPv6 = 32
)

// CanSend reports whether packets of another host can have an address for their source: not those
// of loopback, of many, or of nobody.
func CanSend(a netip.Addr) bool { return a.IsGlobalUnicast() || a.IsLinkLocalUnicast() }

// CheckZone refuses an interface on which no packet can arrive now.
func (s Source) CheckZone() error {
	links, err := config.ReadLinks()
	if s.Zone == "" || err != nil || links == nil {
		return nil
	}
	var names []string
	for _, l := range links {
		if !l.Loopback && l.Master == "" { // packets of a bridge's port arrive under the bridge's name
			names = append(names, l.Name)
		}
	}
	if slices.Contains(names, s.Zone) {
		return nil
	}
	return &PrefixError{fmt.Sprintf("%v: no packet arrives on %s: there are %s", s, s.Zone, strings.Join(names, ", "))}
}

// Fit is Widen for a source that is to be granted.
func (s Source) Fit(door *knock.Door) (Source, error) {
	if !s.Prefix.IsValid() {
		return s, &PrefixError{"not a source"}
	}
	if s.IsLinkLocal() && (s.Zone == "" || !s.Prefix.IsSingleIP()) {
		return s, &PrefixError{fmt.Sprintf("%v means other hosts on each link: want one address and its interface, such as fe80::1%%eth0", s)}
	}
	if s.Zone != "" && !s.IsLinkLocal() {
		return s, &PrefixError{fmt.Sprintf("%v is not link-local: want it without %%%s", s, s.Zone)}
	}
	widest, family := widestIPv4, "IPv4"
	if s.Prefix.Addr().Is6() {
		widest, family = widestIPv6, "IPv6"
	}
	if bits, key := s.widthAt(door); s.Prefix.Bits() < min(widest, bits) {
		return s, &PrefixError{fmt.Sprintf(
			"%v is too wide: a /%d is the widest of %s that door %s grants: set %s or always_allow in the configuration",
			s, min(widest, bits), family, door.Name, key)}
	}
	if !CanSend(s.Prefix.Addr()) {
		return s, &PrefixError{fmt.Sprintf("no packet comes from %v to a guarded interface: want the address of another host", s)}
	}
	return s.Widen(door), nil
}

// A PrefixError says that a prefix cannot be granted.
type PrefixError struct{ Text string }

func (e *PrefixError) Error() string { return e.Text }

// Settle decides what becomes of a wide prefix that is to be granted beside others, which a set cannot hold if one
// is within another. The wider one takes the place of those within it, if it lasts as long: a grant
// never ends before its time because of another one, and never lasts longer. A prefix within one
// that lasts as long needs no grant of its own.
func Settle(e nft.Grant, others []nft.Grant) (covering *nft.Grant, within []nft.Grant, err error) {
	for _, other := range others {
		switch {
		case other.Source == e.Source: // is renewed
		case other.Source.Bits() < e.Source.Bits():
			if other.Left < e.Left {
				return nil, nil, &OverlapError{e, other}
			}
			covering = &other
		case other.Left > e.Left:
			return nil, nil, &OverlapError{e, other}
		default:
			within = append(within, other)
		}
	}
	return covering, within, nil
}

// An OverlapError says that a prefix cannot be granted because of another one, which is granted.
type OverlapError struct{ Wanted, Granted nft.Grant }

func (e *OverlapError) Error() string {
	until := "revoked"
	if end := EndAfter(e.Granted.Left); !end.IsZero() {
		until = end.Format(time.RFC3339)
	}
	if e.Granted.Source.Bits() < e.Wanted.Source.Bits() {
		return fmt.Sprintf("%v is within %v, which is granted through door %s until %s: grant all of that for longer, or revoke it first",
			e.Wanted.Source, e.Granted.Source, e.Wanted.Door, until)
	}
	return fmt.Sprintf("%v contains %v, which is granted through door %s until %s: grant it for as long, or revoke that first",
		e.Wanted.Source, e.Granted.Source, e.Wanted.Door, until)
}

// A StillGrantedError says that a source is let in with a wider prefix, which was not to be revoked.
type StillGrantedError struct {
	Door   string
	Source string
	With   netip.Prefix
}

func (e *StillGrantedError) Error() string {
	return fmt.Sprintf("%s is still let in through door %s with all of %v: revoke that prefix", e.Source, e.Door, e.With)
}

// Fit returns grants as wide as their doors have them, and apart from them those of wide prefixes.
func Fit(cfg *config.Config, grants []Grant) (narrow, wide []Grant, err error) {
	for _, g := range grants {
		door, err := cfg.Door(g.Door)
		if err != nil {
			return nil, nil, err
		}
		fitted, err := Source{g.Prefix, g.Zone}.Fit(door)
		if err != nil {
			return nil, nil, err
		}
		g.Prefix = fitted.Prefix
		if fitted.IsWide(door) {
			wide = append(wide, g)
		} else {
			narrow = append(narrow, g)
		}
	}
	return narrow, wide, nil
}

// Within returns the grants of a door, of those that the table holds, that are within a source, to
// be revoked by somebody; all if the source is not valid. If a wider prefix still lets the source
// in the error is a [*StillGrantedError].
func Within(held []nft.Grant, door string, source Source, by Origin) (within []Grant, still error) {
	for _, e := range held {
		switch {
		case e.Door != door || !source.Overlaps(e):
		case source.Prefix.IsValid() && e.Source.Bits() < source.Prefix.Bits():
			still = &StillGrantedError{Door: door, Source: source.String(), With: e.Source}
		default:
			within = append(within, Grant{Door: door, Prefix: e.Source, Zone: e.Zone, Origin: by})
		}
	}
	return within, still
}

// Without returns the grants, of those that the table holds, that end with their door: all but
// those of the doors that remain.
func Without(held []nft.Grant, remain []string) (ended []Grant) {
	for _, e := range held {
		if !slices.Contains(remain, e.Door) {
			g := Of(e, time.Now())
			g.Origin, g.Key = Reload, ""
			ended = append(ended, g)
		}
	}
	return ended
}
