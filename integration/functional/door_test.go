package functional

import (
	"testing"

	"nftknock/integration/lab"
)

func TestUDPKnocks(t *testing.T) {
	const config = `
[door.wire]
ports    = [22, "51820:udp"]
sequence = ["7214:udp", "8391:udp", "6127:udp"]
`
	ways := []knocker{
		{"knock", func(t *testing.T, s *lab.Topology, ports []string) {
			s.NeedKnock(t)
			s.Client.Run(t, "knock", append([]string{"-u", "-d", "50", s.Addr.String()}, ports...)...)
		}},
		{"nc", func(t *testing.T, s *lab.Topology, ports []string) {
			for _, p := range ports {
				s.Client.TryWith(t, "knock", "nc", "-u", "-w1", "-q0", s.Addr.String(), p)
			}
		}},
	}
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, k := range ways {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				s.Server.EchoUDP(t, 51820)
				lab.StartDaemon(t, s.Server, config)
				s.ExpectShut(t, s.Source, "51820:udp", lab.Silent)

				k.knock(t, s, []string{"7214", "8391", "6127"})
				s.ExpectOpen(t, s.Source, "51820:udp")
				s.ExpectLogin(t, sshd, s.Source, 22)
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
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		s.RunKnock(t, "50", "7214", "8391", "6127")
		s.Settle(t, "ssh", "7214", "8391:udp", "6127")
		s.ExpectOut(t, "ssh", s.Source)

		s.RunKnock(t, "50", "7214:tcp", "8391:udp", "6127:tcp")
		s.WaitIn(t, "ssh", s.Source)
		s.ExpectLogin(t, sshd, s.Source, 22)
	})
}

func TestSeveralPorts(t *testing.T) {
	const config = `
[door.office]
ports    = [22, 2222, "51820:udp"]
sequence = [7214, 8391, 6127]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22, 2222)
		s.Server.EchoUDP(t, 51820)
		lab.StartDaemon(t, s.Server, config)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.ExpectShut(t, s.Source, "2222", lab.Silent)
		s.ExpectShut(t, s.Source, "51820:udp", lab.Silent)

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "office", s.Source)
		s.ExpectLogin(t, sshd, s.Source, 22)
		s.ExpectLogin(t, sshd, s.Source, 2222)
		s.ExpectOpen(t, s.Source, "51820:udp")
		s.ExpectShut(t, s.Neighbour, "2222", lab.Silent)
	})
}

// TestTwoPeople has a door for each of two people in front of the same port.
func TestTwoPeople(t *testing.T) {
	const config = `
[door.alice]
ports          = [22]
sequence       = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]

[door.bob]
ports    = [22]
sequence = [5303, 4871, 7519]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		alice, bob, nobody := s.Source, s.Neighbour, s.Stranger

		s.Knock(t, alice, "7214", "8391", "6127")
		s.WaitIn(t, "alice", alice)
		s.ExpectOut(t, "bob", alice)
		s.ExpectLogin(t, sshd, alice, 22)
		s.ExpectShut(t, bob, "22", lab.Silent)

		s.Knock(t, bob, "5303", "4871", "7519")
		s.WaitIn(t, "bob", bob)
		s.ExpectOut(t, "alice", bob)
		s.ExpectLogin(t, sshd, bob, 22)

		s.Knock(t, alice, "6127", "8391", "7214")
		s.WaitOut(t, "alice", alice)
		s.ExpectShut(t, alice, "22", lab.Silent)
		s.ExpectOpen(t, bob, "22")
		s.ExpectShut(t, nobody, "22", lab.Silent)
	})
}

func TestAlwaysAllow(t *testing.T) {
	const config = `
always_allow = ["10.1.7.0/24", "fd00:1:0:7::/64"]
` + lab.SSHDoor
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		s.ExpectLogin(t, sshd, s.Stranger, 22)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	})
}

// TestInterfaces guards one of the server's two interfaces.
func TestInterfaces(t *testing.T) {
	const config = `
interfaces = ["net1"]
` + lab.SSHDoor
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.Connect(t, 2, s.Server, s.Client)
		inside := *s
		inside.Addr, inside.Source = f.Addr(2, 0, 1), f.Addr(2, 0, 2)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)

		s.ExpectShut(t, s.Source, "22", lab.Silent)
		inside.ExpectLogin(t, sshd, inside.Source, 22)

		// What arrives elsewhere is no knock either.
		inside.Knock(t, inside.Source, lab.SSHSequence...)
		s.Settle(t, "ssh", lab.SSHSequence...)
		s.ExpectOut(t, "ssh", inside.Source)
		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		s.ExpectLogin(t, sshd, s.Source, 22)
	})
}

func TestPrefix(t *testing.T) {
	const config = lab.SSHDoorThatCloses + `
ipv4_prefix = 24
ipv6_prefix = 64
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, config)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.ExpectOpen(t, s.Source, "22")
		s.ExpectLogin(t, sshd, s.Neighbour, 22)
		s.ExpectShut(t, s.Stranger, "22", lab.Silent)

		// Any of them closes it for all.
		s.Knock(t, s.Neighbour, lab.SSHCloseSequence...)
		s.Settle(t, "ssh", lab.SSHSequence...)
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
	})
}
