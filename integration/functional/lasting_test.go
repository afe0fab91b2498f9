package functional

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// TestSessionsGoOn has one session that was up before the daemon's first start, and one that
// was let in. They go on, whatever becomes of the daemon, of its door and of its table.
func TestSessionsGoOn(t *testing.T) {
	for _, own := range []string{"auto", "no"} {
		t.Run("own_table="+own, func(t *testing.T) {
			lab.EachFamily(t, func(t *testing.T, f lab.Family) {
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				config := lab.WriteConfig(t, fmt.Sprintf("own_table = %q\n", own)+lab.NoDecoys+lab.SSHDoor+"open_timeout = \"2s\"\n")

				sessions := map[string]*lab.Session{"from before": s.LogIn(t, sshd, s.Source, 22)}
				step := func(name string) {
					t.Helper()
					s.ExpectShut(t, s.Stranger, "22", lab.Silent)
					for who, session := range sessions {
						session.ExpectEcho(t, name+", "+who)
					}
				}
				d := lab.StartDaemonFile(t, s.Server, config)
				step("started")
				s.Knock(t, s.Neighbour, lab.SSHSequence...)
				s.WaitIn(t, "ssh", s.Neighbour)
				sessions["let in"] = s.LogIn(t, sshd, s.Neighbour, 22)
				s.WaitOut(t, "ssh", s.Neighbour)
				step("the time is over")
				d.Tell(t, "reload")
				step("reloaded")
				d.Stop(syscall.SIGTERM)
				step("stopped")
				d = lab.StartDaemonFile(t, s.Server, config)
				step("started again")
				d.Stop(syscall.SIGKILL)
				step("killed")
				lab.StartDaemonFile(t, s.Server, config)
				step("started after that")
				if own == "no" {
					s.Server.Run(t, "nft", "flush", "ruleset")
					waitGuarding(t, s)
					step("flushed by somebody")
					s.Server.Run(t, "nft", "delete", "table", "inet", lab.GateTable)
					waitGuarding(t, s)
					step("deleted by somebody")
				}
			})
		})
	}
}

// TestPublishedSessionsGoOn is the same for a port that is published for a container, which
// this host has no sockets of.
func TestPublishedSessionsGoOn(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		container := publishContainer(t, s)
		sshd := lab.StartSSHD(t, container, 22)

		old := s.LogIn(t, sshd, s.Source, 2222)
		file := lab.WriteConfig(t, "own_table = \"no\"\n"+publishedDoor+"open_timeout = \"2s\"\n")
		d := lab.StartDaemonFile(t, s.Server, file)
		s.ExpectShut(t, s.Stranger, "2222", lab.Silent)
		old.ExpectEcho(t, "started")
		s.Knock(t, s.Neighbour, lab.SSHSequence...)
		s.WaitIn(t, "container", s.Neighbour)
		young := s.LogIn(t, sshd, s.Neighbour, 2222)
		s.WaitOut(t, "container", s.Neighbour)
		both := func(text string) {
			t.Helper()
			s.ExpectShut(t, s.Stranger, "2222", lab.Silent)
			old.ExpectEcho(t, text)
			young.ExpectEcho(t, text)
		}
		both("the time is over")
		d.Stop(syscall.SIGKILL)
		lab.StartDaemonFile(t, s.Server, file)
		both("killed and started again")
		s.Server.Run(t, "nft", "delete", "table", "inet", lab.GateTable)
		waitGuarding(t, s)
		both("deleted by somebody")
	})
}

// publishedDoor guards the port that a container is published on.
const publishedDoor = lab.NoDecoys + `
[door.container]
ports    = [2222]
sequence = [7214, 8391, 6127]
`

// publishContainer connects a host to the server, which publishes its port 22 as 2222.
func publishContainer(t testing.TB, s *lab.Topology) *lab.Host {
	t.Helper()
	const publish = `
table inet container_engine {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		fib daddr type local meta nfproto ipv4 tcp dport 2222 dnat ip to 10.2.0.2:22
		fib daddr type local meta nfproto ipv6 tcp dport 2222 dnat ip6 to [fd00:2::2]:22
	}
}
`
	container := lab.NewHost(t, "container")
	lab.Connect(t, 2, s.Server, container)
	s.Server.Sysctl(t, "net/ipv4/ip_forward", "1")
	s.Server.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	container.Route(t, s.Family.Addr(1, 0, 0), s.Family.Addr(2, 0, 1))
	s.Server.RunWith(t, publish, "nft", "-f", "-")
	return container
}

// waitGuarding waits until the table is there.
func waitGuarding(t testing.TB, s *lab.Topology) {
	t.Helper()
	lab.Eventually(t, "the table is back", func() bool {
		return s.Server.Try(t, "nft", "list", "chain", "inet", lab.GateTable, "gate").Err == nil
	})
}

// TestRemovedFromAlwaysAllow takes a source from always_allow: what it has up goes on.
func TestRemovedFromAlwaysAllow(t *testing.T) {
	const always = `
always_allow = ["10.1.0.2", "fd00:1::2"]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		file := lab.WriteConfig(t, always+lab.NoDecoys+lab.SSHDoor)
		d := lab.StartDaemonFile(t, s.Server, file)
		to := netip.AddrPortFrom(s.Addr, 22)
		c, ok := s.Client.Reach(netip.AddrPortFrom(s.Source, 43210), to, lab.Timeout)
		if !ok {
			t.Fatal("who need not knock does not get in")
		}
		defer c.Close()
		rewriteConfig(t, file, lab.NoDecoys+lab.SSHDoor)
		d.Tell(t, "reload")
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		if !lab.Says(c, "still here") {
			t.Error("the connection is cut off")
		}
	})
}

// TestHostDials has the server begin connections, and conversations over UDP, from the numbers
// of guarded ports.
func TestHostDials(t *testing.T) {
	const config = lab.NoDecoys + `
[door.both]
ports    = [2222, "51820:udp"]
sequence = [7214, 8391, 6127]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Client.ServeBanner(t, 80)
		s.Client.EchoUDP(t, 53)
		lab.StartDaemon(t, s.Server, config)
		c, ok := s.Server.Reach(netip.AddrPortFrom(s.Addr, 2222), netip.AddrPortFrom(s.Source, 80), lab.Timeout)
		if !ok {
			t.Fatal("the host cannot connect from a guarded port")
		}
		defer c.Close()
		if !lab.Says(c, "hello") {
			t.Error("its connection does not go on")
		}
		if a, err := s.Server.Ask(netip.AddrPortFrom(s.Addr, 51820), netip.AddrPortFrom(s.Source, 53), lab.Timeout); a != lab.Open {
			t.Errorf("the host is not answered over UDP: %s: %v", a, err)
		}
		// A port that nobody listens on says so, by ICMP.
		if a, err := s.Server.Ask(netip.AddrPortFrom(s.Addr, 51820), netip.AddrPortFrom(s.Source, 54), lab.Timeout); a != lab.Refused {
			t.Errorf("an error does not reach the host's socket: %s: %v", a, err)
		}
	})
}

// TestTransfers moves data through a guarded port after the door has shut: much of it, each
// way, and after one end has said all that it had to say.
func TestTransfers(t *testing.T) {
	const size = 32 << 20
	data := make([]byte, size)
	rand.Read(data)
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, from := range []string{"client", "server"} {
			t.Run("from the "+from, func(t *testing.T) {
				t.Parallel()
				s := lab.NewTopology(t, f)
				l := s.Server.ListenTCP(t, 22)
				d := lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
				d.Tell(t, "open", "ssh", s.Source.String())
				near, a, err := s.Client.Dial(s.Source, netip.AddrPortFrom(s.Addr, 22), lab.Timeout)
				if a != lab.Open {
					t.Fatal(err)
				}
				defer near.Close()
				far, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer far.Close()
				d.Tell(t, "close", "ssh", s.Source.String())
				s.WaitOut(t, "ssh", s.Source)

				source, sink := near.(*net.TCPConn), far.(*net.TCPConn)
				if from == "server" {
					source, sink = sink, source
				}
				// The other end has nothing to say any more.
				if err := sink.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if _, err := source.Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("one end has said that it is done, the other sees %v", err)
				}
				deadline := time.Now().Add(2 * lab.Timeout)
				source.SetDeadline(deadline)
				sink.SetDeadline(deadline)
				go func() {
					source.Write(data)
					source.Close()
				}()
				got, err := io.ReadAll(sink)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d of %d bytes, or others, have arrived: %v", len(got), size, err)
				}
			})
		}
	})
}

// TestPathMTU tells the server that its packets are too large for the way: that reaches the
// connection through the gate that it belongs to.
func TestPathMTU(t *testing.T) {
	const mtu = 1300
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		d := lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, f.Addr(1, 20, 1))
		d.Tell(t, "open", "ssh", who.String())
		s.WaitIn(t, "ssh", who)
		c := l.Converse(t, netip.AddrPortFrom(who, 43210), netip.AddrPortFrom(s.Addr, 22))
		d.Tell(t, "close", "ssh", who.String())
		s.WaitOut(t, "ssh", who)

		theirs := c.Completed
		theirs.From, theirs.To, theirs.Seq, theirs.Ack = theirs.To, theirs.From, theirs.Ack, theirs.Seq
		l.Send(t, tooBig(who, s.Addr, mtu, theirs.Datagram().Bytes()))
		lab.Eventually(t, "the server knows how large packets may be", func() bool {
			return strings.Contains(s.Server.Run(t, "ip", "route", "get", who.String()), fmt.Sprintf("mtu %d", mtu))
		})
	})
}

// tooBig is an ICMP error: a packet was too big for somebody's next link.
func tooBig(from, to netip.Addr, mtu uint16, about []byte) *lab.Datagram {
	if to.Is4() {
		b := []byte{3, 4, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(b[6:], mtu)
		b = append(b, about[:28]...)
		binary.BigEndian.PutUint16(b[2:], lab.Complement(lab.WordSum(b)))
		return &lab.Datagram{From: from, To: to, Proto: unix.IPPROTO_ICMP, Payload: b}
	}
	b := []byte{2, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[6:], mtu)
	return lab.NewDatagram(unix.IPPROTO_ICMPV6, from, to, append(b, about...), 2)
}

// TestOthersWithNumbersAlike sends pings whose checksum, which stands where TCP has its port,
// is the number of a guarded port.
func TestOthersWithNumbersAlike(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, f.Addr(1, 20, 1))
		for _, number := range []uint16{22, 7214} {
			l.Send(t, pingWithChecksum(t, who, s.Addr, number))
			if _, ok := l.Receive(t, lab.Timeout, func(a lab.Received) bool { return a.To == who && lab.IsEchoReply(a) }); !ok {
				t.Errorf("a ping with checksum %d is not answered", number)
			}
		}
	})
}

// pingWithChecksum is a ping with the data that gives it a checksum.
func pingWithChecksum(t testing.TB, from, to netip.Addr, sum uint16) *lab.Datagram {
	t.Helper()
	for word := range 1 << 16 {
		d := lab.EchoRequest(from, to)
		d.Payload = binary.BigEndian.AppendUint16(d.Payload, uint16(word))
		clear(d.Payload[2:4])
		if to.Is4() {
			binary.BigEndian.PutUint16(d.Payload[2:], lab.Complement(lab.WordSum(d.Payload)))
		} else {
			d = lab.NewDatagram(unix.IPPROTO_ICMPV6, from, to, d.Payload, 2)
		}
		if binary.BigEndian.Uint16(d.Payload[2:]) == sum {
			return d
		}
	}
	t.Fatalf("no data gives checksum %d", sum)
	return nil
}

// TestLargeKnocks knocks with datagrams that come in fragments, as only the first of them has
// a port.
func TestLargeKnocks(t *testing.T) {
	const config = lab.NoDecoys + `
[door.ssh]
ports    = [22]
sequence = ["7214:udp", "8391:udp", "6127:udp"]
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		lab.StartDaemon(t, s.Server, config)
		for _, backwards := range []bool{false, true} {
			l := lab.OpenLink(t, s.Client, s.Server, 1)
			who := l.Phantom(t, f.Addr(1, 20, 1))
			if backwards {
				who = l.Phantom(t, f.Addr(1, 20, 2))
			}
			for n, port := range []uint16{7214, 8391, 6127} {
				whole := lab.UDPDatagram(netip.AddrPortFrom(who, 40000), netip.AddrPortFrom(s.Addr, port), bytes.Repeat([]byte("x"), 4000))
				whole.ID = uint16(100 + n)
				fragments := whole.Cut(1400)
				if backwards {
					fragments = reversed(fragments)
				}
				l.Send(t, fragments...)
			}
			s.WaitIn(t, "ssh", who)
		}
	})
}

// rewriteConfig changes a configuration that a daemon has read.
func rewriteConfig(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
