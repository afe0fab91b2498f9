package nft

import (
	"net/netip"
	"testing"
	"time"
)

// BenchmarkLetIn is the time from a decision to its being in force.
func BenchmarkLetIn(b *testing.B) {
	source := netip.MustParseAddr("10.0.0.1")
	b.Run("renew", func(b *testing.B) {
		inNetNS(b)
		table := open(b, spec(door("ssh", tcp(22))))
		for b.Loop() {
			if _, err := table.LetIn("ssh", source, time.Minute, "knock"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		inNetNS(b)
		table := open(b, spec(door("ssh", tcp(22))))
		for b.Loop() {
			source = source.Next()
			if _, err := table.LetIn("ssh", source, time.Minute, "knock"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
