// Package lab is what the integration tests are made of: hosts and the wires between them,
// packets, programs that run on a host, and the daemon under test. Everything is real: the
// programs, the kernel, nft, sshd and ssh, and what people knock with. Only tests import it.
//
// Each test makes a network of its own out of network namespaces, most of them a [Topology]:
//
//	 client                      server
//	+-----------------+         +--------------------+
//	| knock, nmap, nc |  net1   | nftknockd   sshd   |
//	| telnet, ssh     |---------| nft                |
//	+-----------------+  veth   +--------------------+
//	  10.1.0.2, fd00:1::2         10.1.0.1, fd00:1::1
//
// and asserts what a person on either side sees: a connection that is refused
// or never answered, an ssh that logs in, an element in a listed set. Nothing
// leaves the namespaces, and they go when the test does.
//
//	s := lab.NewTopology(t, lab.IPv4)
//	s.Server.ListenTCP(t, 22)
//	lab.StartDaemon(t, s.Server, lab.SSHDoor)
//	s.ExpectShut(t, s.Source, "22", lab.Silent)
//	s.Knock(t, s.Source, lab.SSHSequence...)
//	s.ExpectOpen(t, s.Source, "22")
//
// Tests wait for a condition with [Eventually], and end everything they have started. A
// [Link] sends any packet of IP, and returns all that comes back; a [Packet] is enough to
// knock; a [Capture] tells which knocks have arrived.
//
// A package of tests calls [Main] in its TestMain. The tests need root, and the programs that
// make test installs. What changes how they run:
//
//	NFTKNOCKD=FILE       test this program instead of building one
//	NFTKNOCK=FILE        and this client
package lab
