package main

import (
	"net/netip"
	"time"
)

// name returns a prefix as people write it: an address where it is just one.
func name(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// until returns when somebody's time is over, by the wall clock; the zero time is never.
func until(end time.Time) string {
	if end.IsZero() {
		return "closed"
	}
	return end.Format(time.RFC3339)
}
