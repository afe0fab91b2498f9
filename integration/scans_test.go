package integration

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// A scan is a way to try the TCP ports of the server, from an address of the client's.
type scan struct {
	name string
	run  func(t testing.TB, s *site, from netip.Addr)

	opens    string // which of the doors of scannedDoors it opens if there are no decoys; empty: none, but by chance
	onlyIPv4 bool   // its program knows no other
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

// scans are all of all ports, but for the second one, which begins and ends at the knocks
// of a door. nmap sorts the ports it is given, and so does not go backwards.
var scans = []scan{
	{name: "nmap, in order", run: nmapScan("-", "-r"), opens: "up"},
	{name: "nmap, in order, from knock to knock", run: nmapScan("6127-8391", "-r"), opens: "up"},
	{name: "nmap, in order, no retries", run: nmapScan("-", "-r", "--max-retries", "0"), opens: "up"},
	{name: "hping3, in order", run: hpingScan, opens: "up", onlyIPv4: true},
	{name: "SYNs, backwards", run: scanBackwards, opens: "down"},
	{name: "nmap, at random", run: nmapScan("-")},
	{name: "nmap, at random, no retries", run: nmapScan("-", "--max-retries", "0")},
	{name: "masscan, at random", run: masscan, onlyIPv4: true},
}

func nmapScan(ports string, options ...string) func(testing.TB, *site, netip.Addr) {
	return func(t testing.TB, s *site, from netip.Addr) {
		args := append([]string{"-sS", "-Pn", "-n", "-p" + ports, "-S", from.String(), "-e", "net1"}, options...)
		if s.family == ipv6 {
			args = append(args, "-6")
		}
		s.client.run(t, "nmap", append(args, s.addr.String())...)
	}
}

func hpingScan(t testing.TB, s *site, from netip.Addr) {
	s.client.run(t, "hping3", "-S", "-a", from.String(), "--scan", "1-65535", s.addr.String())
}

// scanBackwards sends a SYN to each port, the highest first.
func scanBackwards(t testing.TB, s *site, from netip.Addr) {
	source := netip.AddrPortFrom(from, uint16(32768+rand.IntN(28000)))
	var packets []packet
	for port := 65535; port > 0; port-- {
		packets = append(packets, tcp(source, netip.AddrPortFrom(s.addr, uint16(port)), rand.Uint32(), flagSYN))
	}
	s.client.send(t, packets...)
}

// masscan makes its own frames, and has to be told whom they are for.
func masscan(t testing.TB, s *site, from netip.Addr) {
	router := s.server.interfaceByName(t, "net1").HardwareAddr.String()
	s.client.run(t, "masscan", s.addr.String(), "-p1-65535", "--rate", "50000", "--wait", "1",
		"--adapter", "net1", "--adapter-ip", from.String(), "--router-mac", strings.ReplaceAll(router, ":", "-"))
}
