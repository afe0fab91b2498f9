// Package integration tests nftknockd from the outside: the real program on a
// real kernel, with the real nft, sshd and ssh, and with the programs people
// knock with. It holds tests only; those of the systemd unit and the Debian package are a
// script with its tools, below systemd/.
//
// Each test makes a network of its own out of network namespaces:
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
// The tests need root, and the programs that make test installs. What changes
// how they run:
//
//	NFTKNOCKD=FILE       test this program instead of building one
//	NFTKNOCK=FILE        and this client
//	go test -update      write the golden listings anew
package integration
