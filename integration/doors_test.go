package integration

import "testing"

func TestUDPKnocks(t *testing.T) {
	const config = `
[door.wire]
ports    = [22, "51820:udp"]
sequence = ["7214:udp", "8391:udp", "6127:udp"]
`
	ways := []knocker{
		{"knock", func(t *testing.T, s *site, ports []string) {
			s.client.run(t, "knock", append([]string{"-u", "-d", "50", s.addr.String()}, ports...)...)
		}},
		{"nc", func(t *testing.T, s *site, ports []string) {
			for _, p := range ports {
				s.client.tryWith(t, "knock", "nc", "-u", "-w1", "-q0", s.addr.String(), p)
			}
		}},
	}
	eachFamily(t, func(t *testing.T, f family) {
		for _, k := range ways {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, f)
				sshd := startSSHD(t, s.server, 22)
				s.server.echoUDP(t, 51820)
				startDaemon(t, s.server, config)
				s.expectShut(t, s.person, "51820:udp", silent)

				k.knock(t, s, []string{"7214", "8391", "6127"})
				s.expectOpen(t, s.person, "51820:udp")
				s.expectLogin(t, sshd, s.person, 22)
			})
		}
	})
}

func TestMixedSequence(t *testing.T) {
	const config = `
[door.ssh]
ports    = [22]
sequence = [7214, "8391:udp", 6127]
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		s.client.run(t, "knock", "-d", "50", s.addr.String(), "7214", "8391", "6127")
		s.settle(t, "ssh", "7214", "8391:udp", "6127")
		s.expectOut(t, "ssh", s.person)

		s.client.run(t, "knock", "-d", "50", s.addr.String(), "7214:tcp", "8391:udp", "6127:tcp")
		s.waitIn(t, "ssh", s.person)
		s.expectLogin(t, sshd, s.person, 22)
	})
}

func TestSeveralPorts(t *testing.T) {
	const config = `
[door.office]
ports    = [22, 2222, "51820:udp"]
sequence = [7214, 8391, 6127]
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22, 2222)
		s.server.echoUDP(t, 51820)
		startDaemon(t, s.server, config)
		s.expectShut(t, s.person, "22", silent)
		s.expectShut(t, s.person, "2222", silent)
		s.expectShut(t, s.person, "51820:udp", silent)

		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "office", s.person)
		s.expectLogin(t, sshd, s.person, 22)
		s.expectLogin(t, sshd, s.person, 2222)
		s.expectOpen(t, s.person, "51820:udp")
		s.expectShut(t, s.neighbour, "2222", silent)
	})
}

// TestTwoPeople has a door for each of two people in front of the same port.
func TestTwoPeople(t *testing.T) {
	const config = `
[door.alice]
ports          = [22]
sequence       = [7214, 8391, 6127]
close_sequence = [6127, 7214, 8391]

[door.bob]
ports    = [22]
sequence = [5303, 4871, 7519]
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		alice, bob, nobody := s.person, s.neighbour, s.stranger

		s.knock(t, alice, "7214", "8391", "6127")
		s.waitIn(t, "alice", alice)
		s.expectOut(t, "bob", alice)
		s.expectLogin(t, sshd, alice, 22)
		s.expectShut(t, bob, "22", silent)

		s.knock(t, bob, "5303", "4871", "7519")
		s.waitIn(t, "bob", bob)
		s.expectOut(t, "alice", bob)
		s.expectLogin(t, sshd, bob, 22)

		s.knock(t, alice, "6127", "7214", "8391")
		s.waitOut(t, "alice", alice)
		s.expectShut(t, alice, "22", silent)
		s.expectOpen(t, bob, "22")
		s.expectShut(t, nobody, "22", silent)
	})
}

func TestAlwaysAllow(t *testing.T) {
	const config = `
always_allow = ["10.1.7.0/24", "fd00:1:0:7::/64"]
` + sshDoor
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		s.expectLogin(t, sshd, s.stranger, 22)
		s.expectShut(t, s.person, "22", silent)
	})
}

// TestInterfaces guards one of the server's two interfaces.
func TestInterfaces(t *testing.T) {
	const config = `
interfaces = ["net1"]
` + sshDoor
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		connect(t, 2, s.server, s.client)
		inside := *s
		inside.addr, inside.person = f.addr(2, 0, 1), f.addr(2, 0, 2)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)

		s.expectShut(t, s.person, "22", silent)
		inside.expectLogin(t, sshd, inside.person, 22)

		// What arrives elsewhere is no knock either.
		inside.knock(t, inside.person, sshSequence...)
		s.settle(t, "ssh", sshSequence...)
		s.expectOut(t, "ssh", inside.person)
		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)
		s.expectLogin(t, sshd, s.person, 22)
	})
}

func TestPrefix(t *testing.T) {
	const config = sshDoorThatCloses + `
ipv4_prefix = 24
ipv6_prefix = 64
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		startDaemon(t, s.server, config)
		s.expectShut(t, s.neighbour, "22", silent)

		s.knock(t, s.person, sshSequence...)
		s.expectOpen(t, s.person, "22")
		s.expectLogin(t, sshd, s.neighbour, 22)
		s.expectShut(t, s.stranger, "22", silent)

		// Any of them closes it for all.
		s.knock(t, s.neighbour, sshCloseSequence...)
		s.settle(t, "ssh", sshSequence...)
		s.expectShut(t, s.person, "22", silent)
		s.expectShut(t, s.neighbour, "22", silent)
	})
}
