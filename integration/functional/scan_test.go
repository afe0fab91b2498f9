package functional

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestScansInOrder goes from port to port, up and down. As few decoys as there can be
// keep out who does; where there are none, the sequences in that order are open to all.
func TestScansInOrder(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, decoys := range []int{0, 1} {
			t.Run(fmt.Sprintf("decoys=%d", decoys), func(t *testing.T) {
				t.Parallel()
				runScans(t, f, decoys, func(s lab.Scan) bool { return s.Opens != "" })
			})
		}
	})
}

// TestScansAtRandom has more decoys than usual, for the tests are to pass every time:
// three knocks come in order and before any of 32 decoys once in 39,270 scans, and before
// any of 256 once in 17 million.
func TestScansAtRandom(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		runScans(t, f, 256, func(s lab.Scan) bool { return s.Opens == "" })
	})
}

// TestScansCounted counts scans that try three knocks at random, without a decoy: that a source may
// have several attempts under way opens to no wrong order. One in six is right.
func TestScansCounted(t *testing.T) {
	const scans = 600
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
	var packets []lab.Packet
	for n := range scans {
		source := netip.AddrPortFrom(s.Family.Addr(1, byte(20+n/200), byte(1+n%200)), 40000)
		for _, i := range rand.Perm(3) {
			port := []uint16{7214, 8391, 6127}[i]
			packets = append(packets, lab.TCP(source, netip.AddrPortFrom(s.Addr, port), rand.Uint32(), lab.FlagSYN))
		}
	}
	s.Client.Send(t, packets...)
	s.Settle(t, "ssh", lab.SSHSequence...)
	opened := len(s.Entries(t, "ssh")) - 1
	t.Logf("%d of %d", opened, scans)
	if opened < 55 || opened > 145 { // five standard deviations
		t.Errorf("%d of %d opened, and it should be a sixth", opened, scans)
	}
}

// runScans lets scanners at a server, each from an address of its own, and at once. Not all
// of them look at all ports, since that is much work.
func runScans(t *testing.T, f lab.Family, decoys int, wanted func(lab.Scan) bool) {
	s := lab.NewTopology(t, f)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, fmt.Sprintf("[scan]\ndecoys = %d\n", decoys)+lab.ScannedDoors)
	ports := lab.PortRange{First: 1, Last: 10000}
	if f == lab.IPv4 && decoys > 0 {
		ports = lab.AllPorts
	}
	t.Run("scans", func(t *testing.T) {
		for i, scan := range lab.AllScans {
			if !wanted(scan) || scan.OnlyIPv4 && f != lab.IPv4 {
				continue
			}
			from := s.AddScanner(t, i)
			t.Run(scan.Name, func(t *testing.T) {
				t.Parallel()
				scan.Run(t, s, from, ports)
				if decoys == 0 {
					s.WaitIn(t, scan.Opens, from)
					return
				}
				lab.ExpectLine(t, d, "msg=scan", "source="+from.String(), "until=")
				s.ExpectShut(t, from, "22", lab.Silent)
			})
		}
	})
	s.Settle(t, "mixed", lab.MixedSequence...)
	lab.ExpectLine(t, d, "granted", "door=mixed")
	if n := strings.Count(d.Log(), "granted"); n != 1 && decoys > 0 {
		t.Errorf("%d were let in, and it should be one, who has knocked", n)
	}
	expectNoPort(t, s, d)
}

// TestScanFromKnockToKnock scans from the first knock to the last. It is the decoys in between
// that keep it out.
func TestScanFromKnockToKnock(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		d := lab.StartDaemon(t, s.Server, "[scan]\ndecoys = 1\n"+lab.ScannedDoors)
		lab.NmapScan("-r")(t, s, s.Source, lab.PortRange{First: 6127, Last: 8391})
		lab.ExpectLine(t, d, "msg=scan", s.Source.String())
		s.Settle(t, "mixed", lab.MixedSequence...)
		s.ExpectOut(t, "up", s.Source)
	})
}

// TestScanPutsNobodyOut scans from addresses that are let in, by a knock and for ever. They
// stay in; but knocks don't count any more, not even to go.
func TestScanPutsNobodyOut(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		d := lab.StartDaemon(t, s.Server, fmt.Sprintf("always_allow = [%q]", s.Stranger)+lab.SSHDoorThatCloses)
		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		session := s.LogIn(t, sshd, s.Source, 22)

		for _, from := range []netip.Addr{s.Source, s.Stranger} {
			lab.NmapScan("-r")(t, s, from, lab.PortRange{First: 6000, Last: 9000}) // at random it knocks to close once in sixty times
			lab.ExpectLine(t, d, "msg=scan", from.String())
			s.ExpectLogin(t, sshd, from, 22)
		}
		session.ExpectEcho(t, "still here")
		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		s.Settle(t, "ssh", lab.SSHSequence...)
		if _, in := s.Entry(t, "ssh", s.Source); !in {
			t.Error("who is muted has gone by knocking")
		}
	})
}
