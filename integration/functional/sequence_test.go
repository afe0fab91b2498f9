package functional

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"nftknock/integration/lab"
)

func TestSequence(t *testing.T) {
	const config = `[scan]
decoys = 0 # a port of nobody's could be one
` + lab.SSHDoor + `
[door.mail]
ports    = [25]
sequence = [5303, 4871, 7519]
`
	tests := []struct {
		name   string
		knocks []string
		opens  bool
	}{
		{"in order", []string{"7214", "8391", "6127"}, true},
		{"backwards", []string{"6127", "8391", "7214"}, false},
		{"last two swapped", []string{"7214", "6127", "8391"}, false},
		{"one missing", []string{"7214", "8391"}, false},
		{"a wrong one of its own in between", []string{"7214", "6127", "8391", "6127"}, false},
		{"its first one in between", []string{"7214", "8391", "7214", "6127"}, true},
		{"each one twice", []string{"7214", "7214", "8391", "8391", "6127", "6127"}, true},
		{"two people in step", []string{"7214", "8391", "7214", "6127", "8391", "6127"}, true},
		{"wrong, then right", []string{"7214", "6127", "7214", "8391", "6127"}, true},
		{"the other door's in between", []string{"7214", "5303", "8391", "4871", "6127"}, true},
		{"nobody's in between", []string{"7214", "1234", "8391", "7215", "6127"}, true},
		{"by UDP", []string{"7214:udp", "8391:udp", "6127:udp"}, false},
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				lab.StartDaemon(t, s.Server, config)
				s.Knock(t, s.Source, test.knocks...)
				if test.opens {
					s.ExpectOpen(t, s.Source, "22")
					return
				}
				s.Settle(t, "ssh", lab.SSHSequence...)
				s.ExpectOut(t, "ssh", s.Source)
				s.ExpectShut(t, s.Source, "22", lab.Silent)
			})
		}
	})
}

func TestTooSlow(t *testing.T) {
	const config = lab.SSHDoor + `
seq_timeout = "2s"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		lab.StartDaemon(t, s.Server, config)

		s.Knock(t, s.Source, lab.SSHSequence[:2]...)
		s.Settle(t, "ssh", lab.SSHSequence...)
		time.Sleep(2100 * time.Millisecond)
		s.Knock(t, s.Source, lab.SSHSequence[2:]...)
		s.Settle(t, "ssh", lab.SSHSequence...)
		s.ExpectOut(t, "ssh", s.Source)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	})
}

// TestRepeatedSYN repeats each SYN as a system does that got no answer, or as
// Windows does that was refused: the same source port and sequence number.
func TestRepeatedSYN(t *testing.T) {
	byHand := func(t *testing.T, s *lab.Topology) {
		for _, p := range lab.SSHSequence {
			syn, err := lab.ParseKnock(s.Source, s.Addr, p)
			if err != nil {
				t.Fatal(err)
			}
			s.Client.Send(t, syn, syn, syn)
		}
	}
	hping := func(t *testing.T, s *lab.Topology) {
		for _, p := range lab.SSHSequence {
			s.Client.Run(t, "hping3", "-S", "-s", "40123", "-k", "-M", strconv.Itoa(rand.IntN(1<<30)),
				"-c", "3", "-i", "u20000", "-p", p, s.Addr.String())
		}
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		ways := map[string]func(*testing.T, *lab.Topology){"by hand": byHand}
		if f == lab.IPv4 { // hping3 knows no other
			ways["hping3"] = hping
		}
		for name, knock := range ways {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				s.Server.ListenTCP(t, 22)
				lab.StartDaemon(t, s.Server, lab.SSHDoor)
				knock(t, s)
				s.ExpectOpen(t, s.Source, "22")
			})
		}
	})
}

// TestSamePortTwice has one port twice in the sequence: it takes two knocks,
// not one that is repeated.
func TestSamePortTwice(t *testing.T) {
	const config = `
[door.ssh]
ports    = [22]
sequence = [7214, 7214, 6127]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		lab.StartDaemon(t, s.Server, config)

		once := lab.TCP(netip.AddrPortFrom(s.Neighbour, 40123), netip.AddrPortFrom(s.Addr, 7214), 77, lab.FlagSYN)
		s.Client.Send(t, once, once)
		s.Knock(t, s.Neighbour, "6127")
		s.Knock(t, s.Source, "7214", "7214", "6127")
		s.ExpectOpen(t, s.Source, "22")
		s.ExpectOut(t, "ssh", s.Neighbour)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
	})
}
