package demo

import (
	"iter"
	"net/netip"
	"os"
	"strings"

	"nftknock/knock"
)

// A family is how the demo uses one version of IP.
type family struct {
	name      string
	offSwitch string // the setting that turns it off; it is not there if the kernel lacks it
	server    netip.Addr
	ranges    []addressRange // for clients, the nicest first

	// letIn is what a door lets in with a source.
	letIn func(door *knock.Door, source netip.Addr) netip.Prefix
}

// The clients come from networks that are far apart: whatever prefix one of them
// is in, some others are outside. Documentation networks (RFC 5737, RFC 3849,
// RFC 9637) come first.
var families = []family{
	{
		name:   "IPv4",
		server: netip.MustParseAddr("192.0.2.1"),
		ranges: []addressRange{
			{"192.0.2.0", 3, 2, 254},
			{"198.51.100.0", 3, 2, 254},
			{"203.0.113.0", 3, 2, 254},
			{"10.0.0.2", 1, 0, 255}, // one in each /16
			{"0.0.0.2", 0, 1, 126},  // one in each /8
			{"0.0.0.2", 0, 128, 223},
		},
		letIn: func(door *knock.Door, source netip.Addr) netip.Prefix {
			return netip.PrefixFrom(source, door.IPv4Prefix).Masked()
		},
	},
	{
		name:      "IPv6",
		offSwitch: "/proc/sys/net/ipv6/conf/default/disable_ipv6",
		server:    netip.MustParseAddr("2001:db8::1"),
		ranges: []addressRange{
			{"2001:db8::", 15, 2, 254},
			{"2001:db8::2", 7, 1, 255}, // one in each /64
			{"2001:db8::2", 5, 1, 255}, // one in each /48
			{"3fff::2", 3, 0, 255},     // one in each /32
			{"fd00::2", 1, 0, 255},     // one in each /16
		},
		letIn: func(door *knock.Door, source netip.Addr) netip.Prefix {
			return netip.PrefixFrom(source, door.IPv6Prefix).Masked()
		},
	},
}

// An addressRange is addresses that differ from base in one octet, the one with
// that index, which runs from first to last.
type addressRange struct {
	base               string
	octet, first, last int
}

// clients yields addresses for clients.
func (f *family) clients() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range f.ranges {
			octets := netip.MustParseAddr(r.base).AsSlice()
			for i := r.first; i <= r.last; i++ {
				octets[r.octet] = byte(i)
				if addr, _ := netip.AddrFromSlice(octets); !yield(addr) {
					return
				}
			}
		}
	}
}

// supported reports whether new network namespaces have this version of IP.
func (f *family) supported() bool {
	if f.offSwitch == "" {
		return true
	}
	off, err := os.ReadFile(f.offSwitch)
	return err == nil && strings.TrimSpace(string(off)) == "0"
}
