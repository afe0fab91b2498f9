package cli

import (
	"net/netip"
	"strings"
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

func portNames(ports []knock.Port) []string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.String()
	}
	return names
}

// listOf returns ports as people write them, one after the other.
func listOf(ports []knock.Port) string { return strings.Join(portNames(ports), ", ") }

// until returns when somebody's time is over, by the wall clock; the zero time is never.
func until(end time.Time) string {
	if end.IsZero() {
		return "closed"
	}
	return end.Format(time.RFC3339)
}
