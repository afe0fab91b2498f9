package nft

import (
	"net/netip"
	"testing"
	"time"
)

// BenchmarkGrant is the time from a decision to its being in force.
func BenchmarkGrant(b *testing.B) {
	source := netip.MustParseAddr("10.0.0.1")
	b.Run("renew", func(b *testing.B) {
		inNetNS(b)
		table := open(b, spec(door("ssh", tcp(22))))
		for b.Loop() {
			g := Grant{Door: "ssh", Source: netip.PrefixFrom(source, 32), Left: time.Minute, By: "knock"}
			if err := table.Grant(g); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		inNetNS(b)
		table := open(b, spec(door("ssh", tcp(22))))
		for b.Loop() {
			source = source.Next()
			g := Grant{Door: "ssh", Source: netip.PrefixFrom(source, 32), Left: time.Minute, By: "knock"}
			if err := table.Grant(g); err != nil {
				b.Fatal(err)
			}
		}
	})
}
