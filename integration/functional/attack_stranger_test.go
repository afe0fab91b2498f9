package functional

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestStrangerCutsNothing has a stranger send segments in somebody's name, who knows the
// addresses and ports of a connection that is up and not its sequence numbers. TCP ignores
// them, and the gate must not believe them either.
func TestStrangerCutsNothing(t *testing.T) {
	for _, shut := range []string{"drop", "reject"} {
		t.Run(shut, func(t *testing.T) {
			lab.EachFamily(t, func(t *testing.T, f lab.Family) { cutNothing(t, f, shut) })
		})
	}
}

func cutNothing(t *testing.T, f lab.Family, shut string) {
	s := lab.NewTopology(t, f)
	s.Server.ServeBanner(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor+fmt.Sprintf("shut = %q\n", shut))
	d.Tell(t, "open", "ssh", s.Source.String())
	from, to := netip.AddrPortFrom(s.Source, 43210), netip.AddrPortFrom(s.Addr, 22)
	c, ok := s.Client.Reach(from, to, lab.Timeout)
	if !ok {
		t.Fatal("let in, and the service does not answer")
	}
	defer c.Close()
	d.Tell(t, "close", "ssh", s.Source.String())
	s.WaitOut(t, "ssh", s.Source)

	l := lab.OpenLink(t, s.Client, s.Server, 1)
	for _, flags := range []byte{lab.FlagRST, lab.FlagRST | lab.FlagACK, lab.FlagFIN | lab.FlagACK, lab.FlagFIN,
		lab.FlagSYN, lab.FlagSYN | lab.FlagACK, lab.FlagACK, lab.FlagFIN | lab.FlagRST | lab.FlagACK} {
		for range 20 {
			l.Send(t, lab.Segment{From: from, To: to, Seq: rand.Uint32(), Ack: rand.Uint32(), Flags: flags}.Datagram())
			// In the server's name as well: what comes from outside is not the server.
			l.Send(t, lab.Segment{From: to, To: from, Seq: rand.Uint32(), Ack: rand.Uint32(), Flags: flags}.Datagram())
		}
		if !lab.Says(c, fmt.Sprintf("after flags %#x", flags)) {
			t.Fatalf("a stranger's segments with the flags %#x have cut the connection off", flags)
		}
	}
	// It may be idle for hours, as sessions are. TCP asks after two whether the other end
	// is still there (tcp(7), tcp_keepalive_time).
	if left := rememberedFor(t, s, from); left >= 0 && left < 2*time.Hour {
		t.Errorf("the connection is remembered for %v more, and a session may be idle for longer", left)
	}
}

// rememberedFor returns for how long the gate will remember a peer's connection if nothing
// more is heard of it, by the sets that are listed; -1 if none has it.
func rememberedFor(t testing.TB, s *lab.Topology, who netip.AddrPort) time.Duration {
	t.Helper()
	left := time.Duration(-1)
	for _, element := range strings.FieldsFunc(s.Server.Run(t, "nft", "list", "table", "inet", lab.GateTable), func(r rune) bool {
		return r == ',' || r == '{' || r == '}'
	}) {
		words := strings.Fields(element)
		named, port := false, false
		for i, w := range words {
			named = named || w == who.Addr().String()
			port = port || w == fmt.Sprint(who.Port())
			if w == "expires" && named && port && i+1 < len(words) {
				if d, err := parseTime(words[i+1]); err == nil {
					left = max(left, d)
				}
			}
		}
	}
	return left
}

// parseTime reads a time as nft writes it: 4d23h59m58s120ms.
func parseTime(text string) (time.Duration, error) {
	var days int
	if before, after, found := strings.Cut(text, "d"); found {
		if _, err := fmt.Sscan(before, &days); err != nil {
			return 0, err
		}
		text = after
	}
	var rest time.Duration
	if text != "" {
		var err error
		if rest, err = time.ParseDuration(text); err != nil {
			return 0, err
		}
	}
	return time.Duration(days)*24*time.Hour + rest, nil
}

// mostRemembered is more connections than the gate remembers at once.
const mostRemembered = 70_000

// TestStrangerFillsNothing has a stranger pretend to be somebody who may always come in, from
// every port there is: SYNs and then ACKs that TCP ignores. Others, who are let in, are not
// kept out by that.
func TestStrangerFillsNothing(t *testing.T) {
	const config = `
always_allow = ["10.1.7.0/24", "fd00:1:0:7::/64"]
` + lab.NoDecoys + lab.SSHDoor
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		s.Server.Sysctl(t, "net/ipv4/tcp_syncookies", "2") // the backlog is no part of this
		d := lab.StartDaemon(t, s.Server, config)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		to := netip.AddrPortFrom(s.Addr, 22)
		pretended := []netip.Addr{l.Phantom(t, f.Addr(1, 7, 20)), l.Phantom(t, f.Addr(1, 7, 21))}
		for n := range mostRemembered {
			from := netip.AddrPortFrom(pretended[n&1], uint16(1024+n/2))
			ack := lab.Segment{From: from, To: to, Seq: 1001, Ack: 1, Flags: lab.FlagACK}
			signed := ack // which TCP does not even answer by RST
			signed.Options = lab.OptionMD5
			l.Send(t, lab.SYNOf(from, to, 1000).Datagram(), ack.Datagram(), signed.Datagram(), signed.Datagram())
		}
		d.Tell(t, "open", "ssh", s.Source.String())
		if !s.Client.Reaches(netip.AddrPortFrom(s.Source, 43210), to, lab.Timeout) {
			t.Error("somebody who is let in does not get in")
		}
		if left := rememberedFor(t, s, netip.AddrPortFrom(pretended[0], 1024)); left > 3*time.Hour { // as long as TCP's keepalive takes, and in a set of its own
			t.Errorf("a connection that never was is remembered for %v", left)
		}
	})
}

// TestAnswersOfOthersFillNothing has a service answer everybody over UDP on the number of a port
// that is guarded for TCP, as a server of names or of HTTP/3 does.
func TestAnswersOfOthersFillNothing(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 22)
		s.Server.EchoUDP(t, 22)
		d := lab.StartDaemon(t, s.Server, lab.NoDecoys+lab.SSHDoor)
		l := lab.OpenLink(t, s.Client, s.Server, 1)
		to := netip.AddrPortFrom(s.Addr, 22)
		who := []netip.Addr{l.Phantom(t, f.Addr(1, 20, 20)), l.Phantom(t, f.Addr(1, 20, 21))}
		for n := range mostRemembered {
			l.Send(t, lab.UDPDatagram(netip.AddrPortFrom(who[n&1], uint16(1024+n/2)), to, []byte("hello")))
			if n%256 == 255 { // no more than fit into the server's socket
				l.Answers(t, who[0], s.Addr)
			}
		}
		d.Tell(t, "open", "ssh", s.Source.String())
		if !s.Client.Reaches(netip.AddrPortFrom(s.Source, 43210), to, lab.Timeout) {
			t.Error("somebody who is let in does not get in")
		}
	})
}

// TestStrangerCutsNoPublishedSession is the same for a port that is published for a container.
// Connection tracking leaves what is out of a connection's window to this host, whose own
// stack answers by RST.
func TestStrangerCutsNoPublishedSession(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		container := publishContainer(t, s)
		container.ServeBanner(t, 22)
		d := lab.StartDaemon(t, s.Server, publishedDoor)
		d.Tell(t, "open", "container", s.Source.String())
		from, to := netip.AddrPortFrom(s.Source, 43210), netip.AddrPortFrom(s.Addr, 2222)
		c, ok := s.Client.Reach(from, to, lab.Timeout)
		if !ok {
			t.Fatal("let in, and the container does not answer")
		}
		defer c.Close()
		d.Tell(t, "close", "container", s.Source.String())
		s.WaitOut(t, "container", s.Source)

		l := lab.OpenLink(t, s.Client, s.Server, 1)
		for _, flags := range []byte{lab.FlagRST, lab.FlagRST | lab.FlagACK, lab.FlagFIN | lab.FlagACK, lab.FlagACK, lab.FlagSYN | lab.FlagACK, lab.FlagSYN} {
			for range 20 {
				l.Send(t, lab.Segment{From: from, To: to, Seq: rand.Uint32(), Ack: rand.Uint32(), Flags: flags}.Datagram())
			}
			if !lab.Says(c, fmt.Sprintf("after flags %#x", flags)) {
				t.Fatalf("a stranger's segments with the flags %#x have cut the connection off", flags)
			}
		}
	})
}
