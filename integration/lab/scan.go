package lab

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A Scan is a way to try TCP ports of the server, from an address of the client's.
type Scan struct {
	Name string
	Run  func(t testing.TB, s *Topology, from netip.Addr, ports PortRange)

	Opens    string // which of the doors of ScannedDoors it opens if there are no decoys; empty: none, but by chance
	OnlyIPv4 bool   // its program knows no other
	Slow     bool   // takes several seconds for all ports
}

// The doors that are scanned: each kind of order that a sequence can have.
const ScannedDoors = `
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

// MixedSequence opens the door mixed of ScannedDoors.
var MixedSequence = []string{"7216", "8393", "6129"}

// A PortRange has both its ends in it.
type PortRange struct{ First, Last int }

// AllPorts is what a scanner looks at that looks at everything.
var AllPorts = PortRange{1, 65535}

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// AllScans are what people scan with. nmap sorts the ports it is given, and so cannot go
// backwards.
var AllScans = []Scan{
	{Name: "nmap, in order", Run: NmapScan("-r"), Opens: "up"},
	{Name: "nmap, in order, no retries", Run: NmapScan("-r", "--max-retries", "0"), Opens: "up"},
	{Name: "hping3, in order", Run: hpingScan, Opens: "up", OnlyIPv4: true, Slow: true},
	{Name: "SYNs, backwards", Run: scanBackwards, Opens: "down"},
	{Name: "nmap, at random", Run: NmapScan()},
	{Name: "nmap, at random, no retries", Run: NmapScan("--max-retries", "0")},
}

// NmapScan is a scan by nmap with options of its.
func NmapScan(options ...string) func(testing.TB, *Topology, netip.Addr, PortRange) {
	return func(t testing.TB, s *Topology, from netip.Addr, ports PortRange) {
		args := append([]string{"-sS", "-Pn", "-n", "-p", ports.String(), "-S", from.String(), "-e", "net1"}, options...)
		if s.Family == IPv6 {
			args = append(args, "-6")
		}
		s.Client.Run(t, "nmap", append(args, s.Addr.String())...)
	}
}

func hpingScan(t testing.TB, s *Topology, from netip.Addr, ports PortRange) {
	s.Client.Run(t, "hping3", "-S", "-a", from.String(), "--scan", ports.String(), s.Addr.String())
}

// scanBackwards sends a SYN to each port, the highest first.
func scanBackwards(t testing.TB, s *Topology, from netip.Addr, ports PortRange) {
	source := netip.AddrPortFrom(from, uint16(32768+rand.IntN(28000)))
	var packets []Packet
	for port := ports.Last; port >= ports.First; port-- {
		packets = append(packets, TCP(source, netip.AddrPortFrom(s.Addr, uint16(port)), rand.Uint32(), FlagSYN))
	}
	s.Client.Send(t, packets...)
}

// ScannerCount is how many hosts scan at once.
const ScannerCount = 5

// ScanOnAndOn scans all ports until the test ends.
func (s *Topology) ScanOnAndOn(t testing.TB, from netip.Addr) *Process {
	t.Helper()
	script := fmt.Sprintf("while nmap -sS -Pn -n -p- --max-rate 5000 -S %v -e net1 %v; do :; done", from, s.Addr)
	cmd := Command(t.Context(), t, "sh", "-c", script)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	p := s.Client.StartCmd(t, cmd)
	t.Cleanup(func() { unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }) // nmap too
	return p
}

// AddScanner gives the client one more address, in a subnet of its own.
func (s *Topology) AddScanner(t testing.TB, nth int) netip.Addr {
	t.Helper()
	a := s.Family.Addr(1, byte(20+nth%200), byte(9+nth/200))
	s.Client.AddAddr(t, 1, a, "preferred_lft", "0")
	return a
}
