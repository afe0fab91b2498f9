package main

import (
	"net/netip"
	"time"

	"nftknock/knock"
)

// name returns a prefix as people write it: an address where it is just one.
func name(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// until returns when a time that begins now is over, by the wall clock.
func until(now time.Time, d time.Duration) string {
	if d == knock.Forever {
		return "closed"
	}
	return now.Add(d).Format(time.RFC3339)
}
