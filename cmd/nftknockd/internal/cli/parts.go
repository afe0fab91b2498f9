package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/knock"
)

// maxParts bounds for how long packets wait while a prefix is let in.
const maxParts = 256

// partsOf returns what to let in for all of a prefix to be in. A door's set holds
// prefixes of one length, so that a knock always finds and renews what was let in by
// hand: a narrower prefix is widened to it, as an address is, and a wider one becomes
// several.
func partsOf(door *knock.Door, source netip.Prefix) ([]netip.Prefix, error) {
	bits, key := door.IPv4Prefix, "ipv4_prefix"
	if source.Addr().Is6() {
		bits, key = door.IPv6Prefix, "ipv6_prefix"
	}
	part, err := source.Addr().Prefix(bits)
	if err != nil {
		return nil, errors.New("not a source") // of no family
	}
	if wider := bits - source.Bits(); wider > 8 {
		return nil, &control.Error{Code: http.StatusBadRequest, Text: fmt.Sprintf(
			"%v is too wide: door %s lets in a /%d at a time (%s), and %d of them by hand: "+
				"let in a /%d or narrower, or set %s or always_allow in the configuration",
			source, door.Name, bits, key, maxParts, bits-8, key)}
	}
	var parts []netip.Prefix
	for part.IsValid() && source.Overlaps(part) {
		parts = append(parts, part)
		part = after(part)
	}
	return parts, nil
}

// after returns the next prefix of the same length; the zero prefix after the last.
func after(p netip.Prefix) netip.Prefix {
	b := p.Addr().AsSlice()
	for bit := p.Bits() - 1; bit >= 0; bit-- {
		mask := byte(0x80) >> (bit % 8)
		b[bit/8] ^= mask
		if b[bit/8]&mask != 0 {
			next, _ := netip.AddrFromSlice(b)
			return netip.PrefixFrom(next, p.Bits())
		}
	}
	return netip.Prefix{}
}
