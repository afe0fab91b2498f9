package integration

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// A scan is a way to try TCP ports of the server, from an address of the client's.
type scan struct {
	name string
	run  func(t testing.TB, s *site, from netip.Addr, ports portRange)

	opens    string // which of the doors of scannedDoors it opens if there are no decoys; empty: none, but by chance
	onlyIPv4 bool   // its program knows no other
	slow     bool   // takes several seconds for all ports
}

// The doors that are scanned: each kind of order that a sequence can have.
const scannedDoors = `
[door.up]
ports    = [22]
sequence = [6127, 7214, 8391]

[door.down]
ports    = [22]
sequence = [8392, 7215, 6128]

[door.mixed]
ports    = [22]
sequence = [7216, 8393, 6129]
`

var mixedSequence = []string{"7216", "8393", "6129"}

// A portRange has both its ends in it.
type portRange struct{ first, last int }

var allPorts = portRange{1, 65535}

func (r portRange) String() string { return fmt.Sprintf("%d-%d", r.first, r.last) }

// scans are what people scan with. nmap sorts the ports it is given, and so cannot go
// backwards.
var scans = []scan{
	{name: "nmap, in order", run: nmapScan("-r"), opens: "up"},
	{name: "nmap, in order, no retries", run: nmapScan("-r", "--max-retries", "0"), opens: "up"},
	{name: "hping3, in order", run: hpingScan, opens: "up", onlyIPv4: true, slow: true},
	{name: "SYNs, backwards", run: scanBackwards, opens: "down"},
	{name: "nmap, at random", run: nmapScan()},
	{name: "nmap, at random, no retries", run: nmapScan("--max-retries", "0")},
}

func nmapScan(options ...string) func(testing.TB, *site, netip.Addr, portRange) {
	return func(t testing.TB, s *site, from netip.Addr, ports portRange) {
		args := append([]string{"-sS", "-Pn", "-n", "-p", ports.String(), "-S", from.String(), "-e", "net1"}, options...)
		if s.family == ipv6 {
			args = append(args, "-6")
		}
		s.client.run(t, "nmap", append(args, s.addr.String())...)
	}
}

func hpingScan(t testing.TB, s *site, from netip.Addr, ports portRange) {
	s.client.run(t, "hping3", "-S", "-a", from.String(), "--scan", ports.String(), s.addr.String())
}

// scanBackwards sends a SYN to each port, the highest first.
func scanBackwards(t testing.TB, s *site, from netip.Addr, ports portRange) {
	source := netip.AddrPortFrom(from, uint16(32768+rand.IntN(28000)))
	var packets []packet
	for port := ports.last; port >= ports.first; port-- {
		packets = append(packets, tcp(source, netip.AddrPortFrom(s.addr, uint16(port)), rand.Uint32(), flagSYN))
	}
	s.client.send(t, packets...)
}
