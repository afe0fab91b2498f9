package integration

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestSequence(t *testing.T) {
	const config = `[scan]
decoys = 0 # a port of nobody's could be one
` + sshDoor + `
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
	eachFamily(t, func(t *testing.T, f family) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.listenTCP(t, 22)
				startDaemon(t, s.server, config)
				s.knock(t, s.person, test.knocks...)
				if test.opens {
					s.expectOpen(t, s.person, "22")
					return
				}
				s.settle(t, "ssh", sshSequence...)
				s.expectOut(t, "ssh", s.person)
				s.expectShut(t, s.person, "22", silent)
			})
		}
	})
}

func TestTooSlow(t *testing.T) {
	const config = sshDoor + `
seq_timeout = "2s"
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		startDaemon(t, s.server, config)

		s.knock(t, s.person, sshSequence[:2]...)
		s.settle(t, "ssh", sshSequence...)
		time.Sleep(2100 * time.Millisecond)
		s.knock(t, s.person, sshSequence[2:]...)
		s.settle(t, "ssh", sshSequence...)
		s.expectOut(t, "ssh", s.person)
		s.expectShut(t, s.person, "22", silent)
	})
}

// TestRepeatedSYN repeats each SYN as a system does that got no answer, or as
// Windows does that was refused: the same source port and sequence number.
func TestRepeatedSYN(t *testing.T) {
	byHand := func(t *testing.T, s *site) {
		for _, p := range sshSequence {
			syn, err := parseKnock(s.person, s.addr, p)
			if err != nil {
				t.Fatal(err)
			}
			s.client.send(t, syn, syn, syn)
		}
	}
	hping := func(t *testing.T, s *site) {
		for _, p := range sshSequence {
			s.client.run(t, "hping3", "-S", "-s", "40123", "-k", "-M", strconv.Itoa(rand.IntN(1<<30)),
				"-c", "3", "-i", "u20000", "-p", p, s.addr.String())
		}
	}
	eachFamily(t, func(t *testing.T, f family) {
		ways := map[string]func(*testing.T, *site){"by hand": byHand}
		if f == ipv4 { // hping3 knows no other
			ways["hping3"] = hping
		}
		for name, knock := range ways {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				s.server.listenTCP(t, 22)
				startDaemon(t, s.server, sshDoor)
				knock(t, s)
				s.expectOpen(t, s.person, "22")
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
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		startDaemon(t, s.server, config)

		once := tcp(netip.AddrPortFrom(s.neighbour, 40123), netip.AddrPortFrom(s.addr, 7214), 77, flagSYN)
		s.client.send(t, once, once)
		s.knock(t, s.neighbour, "6127")
		s.knock(t, s.person, "7214", "7214", "6127")
		s.expectOpen(t, s.person, "22")
		s.expectOut(t, "ssh", s.neighbour)
		s.expectShut(t, s.neighbour, "22", silent)
	})
}
