package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A way is one that somebody may take around a gate in front of port 22, without having
// been let in, or after the door has shut. The gate may be ours or a peer's.
type way struct {
	name  string
	begin func(t testing.TB, s *site) assault // before the gate is there
}

// An assault takes a way, and returns how often that worked.
type assault func(t testing.TB, k keeper) (through, of int)

// A keeper is what a gate's owner does with it.
type keeper struct {
	letIn func(t testing.TB, who netip.Addr)
	shut  func(t testing.TB, who netip.Addr) // the door, to who was let in
}

// ways are those that are tried on all gates.
var ways = []way{
	{"an established connection, forged by two segments", forgeEstablished},
	{"a connection that was reset, after the door has shut", reuse(sayReset)},
	{"a connection that was closed, after the door has shut", reuse(sayFinish)},
	{"a SYN cookie from before the gate", cookieFromBefore},
	{"a SYN cookie once more, after its connection and the door have been closed", cookieAgain},
	{"an ACK scan", scanByACK},
	{"a related connection of a helper for FTP", relatedByHelper},
	{"an address that is local by a rule", localByRule},
	{"an address that is local by TPROXY", localByTPROXY},
	{"another port that is redirected to the guarded one", redirected},
}

// triesOfWay is how often each way is tried.
const triesOfWay = 10

// soon is how long an attacker waits for an answer that a guarded host does not give. What
// an attack gets at all, it gets in a millisecond.
const soon = 300 * time.Millisecond

// forgeEstablished makes connection tracking believe in a connection: a segment that TCP
// ignores, as it is signed and nobody asked for that, then one with the server's own address
// as its source, which connection tracking sees before routing throws it away.
func forgeEstablished(t testing.TB, s *site) assault {
	return func(t testing.TB, _ keeper) (through, of int) {
		l := openLink(t, s.client, s.server, 1)
		to := netip.AddrPortFrom(s.addr, 22)
		for n := range triesOfWay {
			from := netip.AddrPortFrom(s.person, uint16(42000+n))
			l.send(t, segment{from: from, to: to, seq: 1000, ack: 2000, flags: flagACK, options: optionMD5}.datagram())
			l.send(t, segment{from: to, to: from, seq: 2000, ack: 1000, flags: flagACK}.datagram())
			if s.client.reaches(from, to, soon) {
				through++
			}
		}
		return through, triesOfWay
	}
}

// reuse is let in once, has the service end the connection, and connects again from the same
// port after the door has shut.
func reuse(how string) func(t testing.TB, s *site) assault {
	return func(t testing.TB, s *site) assault {
		from, to := netip.AddrPortFrom(s.person, 43210), netip.AddrPortFrom(s.addr, 22)
		return func(t testing.TB, k keeper) (through, of int) {
			k.letIn(t, s.person)
			c, ok := s.client.reach(from, to, aWhile)
			if !ok {
				t.Fatal("let in, and the service does not answer")
			}
			end(t, c, how)
			k.shut(t, s.person)
			for range triesOfWay {
				if c, ok := s.client.reach(from, to, soon); ok {
					through++
					end(t, c, how)
				}
			}
			return through, triesOfWay
		}
	}
}

// alwaysCookies makes the server keep no half-open connections: the ACK of whoever returns
// a cookie begins one.
func alwaysCookies(t testing.TB, s *site) { s.server.sysctl(t, "net/ipv4/tcp_syncookies", "2") }

// cookieFromBefore asks for a cookie before the port is guarded, and returns it then.
func cookieFromBefore(t testing.TB, s *site) assault {
	alwaysCookies(t, s)
	l := openLink(t, s.client, s.server, 1)
	who := l.phantom(t, s.family.addr(1, 9, 9))
	var cookies []segment
	for n := range triesOfWay {
		cookies = append(cookies, l.handshake(t, netip.AddrPortFrom(who, uint16(44000+n)), netip.AddrPortFrom(s.addr, 22)))
	}
	return func(t testing.TB, _ keeper) (through, of int) { return l.complete(t, cookies) }
}

// complete completes handshakes, and counts those that the service answers.
func (l *link) complete(t testing.TB, cookies []segment) (through, of int) {
	t.Helper()
	for _, ack := range cookies {
		l.send(t, ack.datagram())
		if _, ok := l.banner(t, ack.from, soon); ok {
			through++
		}
	}
	return through, len(cookies)
}

// cookieAgain is given a cookie, uses it, has the connection reset, and uses it again when
// the door has shut.
func cookieAgain(t testing.TB, s *site) assault {
	alwaysCookies(t, s)
	l := openLink(t, s.client, s.server, 1)
	who := l.phantom(t, s.family.addr(1, 9, 8))
	return func(t testing.TB, k keeper) (through, of int) {
		k.letIn(t, who)
		var cookies []segment
		for n := range triesOfWay {
			ack := l.handshake(t, netip.AddrPortFrom(who, uint16(45000+n)), netip.AddrPortFrom(s.addr, 22))
			l.send(t, ack.datagram())
			banner, ok := l.banner(t, ack.from, aWhile)
			if !ok {
				t.Fatal("let in, and the service does not answer to a cookie")
			}
			ask := ack
			ask.ack, ask.flags, ask.data = banner.seq()+uint32(len(banner.data())), flagACK|flagPSH, []byte(sayReset+"\r\n")
			l.send(t, ask.datagram())
			if _, ok := l.receive(t, aWhile, func(a arrived) bool { return isTo(a, ack.from) && a.flags()&flagRST != 0 }); !ok {
				t.Fatal("the service has not reset the connection")
			}
			cookies = append(cookies, ack)
		}
		k.shut(t, who)
		return l.complete(t, cookies)
	}
}

// handshake sends a SYN, and returns the ACK that completes the handshake.
func (l *link) handshake(t testing.TB, from, to netip.AddrPort) segment {
	t.Helper()
	syn := segment{from: from, to: to, seq: 1000, flags: flagSYN, options: []byte{2, 4, 5, 180}}
	l.send(t, syn.datagram())
	a, ok := l.receive(t, aWhile, func(a arrived) bool { return isTo(a, from) && a.flags() == flagSYN|flagACK })
	if !ok {
		t.Fatalf("%v is not answered", from)
	}
	return segment{from: from, to: to, seq: 1001, ack: a.seq() + 1, flags: flagACK}
}

func isTo(a arrived, who netip.AddrPort) bool {
	return a.isTCP() && a.to == who.Addr() && a.target() == who.Port()
}

// banner returns the segment in which a service says its banner to somebody.
func (l *link) banner(t testing.TB, who netip.AddrPort, patience time.Duration) (arrived, bool) {
	t.Helper()
	return l.receive(t, patience, func(a arrived) bool {
		return isTo(a, who) && bytes.Equal(a.data(), []byte(bannerOfService))
	})
}

// scanByACK sends what no connection knows of, and looks whether the service's host says so.
func scanByACK(t testing.TB, s *site) assault {
	return func(t testing.TB, _ keeper) (through, of int) {
		l := openLink(t, s.client, s.server, 1)
		who := l.phantom(t, s.family.addr(1, 9, 7))
		for n := range triesOfWay {
			from := netip.AddrPortFrom(who, uint16(46000+n))
			l.send(t, segment{from: from, to: netip.AddrPortFrom(s.addr, 22), seq: 1000, ack: 2000, flags: flagACK}.datagram())
		}
		for _, a := range l.answers(t, who, s.addr) {
			if a.isTCP() && a.source() == 22 {
				through++
			}
		}
		return through, triesOfWay
	}
}

// relatedByHelper has a service on the port of FTP, which connection tracking listens to,
// announce a connection to port 22.
func relatedByHelper(t testing.TB, s *site) assault {
	const helper = `
table inet ftp {
	ct helper ftp {
		type "ftp" protocol tcp
		l3proto %s
	}
	chain prerouting {
		type filter hook prerouting priority filter;
		tcp dport 21 ct helper set "ftp"
	}
}
`
	s.server.serveBanner(t, 21)
	proto := "ip"
	if s.family == ipv6 {
		proto = "ip6"
	}
	if r := s.server.tryWith(t, fmt.Sprintf(helper, proto), "nft", "-f", "-"); r.err != nil {
		t.Skipf("this kernel has no helper for FTP: %s", r.stderr)
	}
	return func(t testing.TB, _ keeper) (through, of int) {
		for n := range triesOfWay {
			control, ok := s.client.reach(netip.AddrPortFrom(s.person, uint16(47000+n)), netip.AddrPortFrom(s.addr, 21), aWhile)
			if !ok {
				t.Fatal("the FTP service does not answer")
			}
			passive := "229 Entering Extended Passive Mode (|||22|)"
			if a := s.addr; a.Is4() {
				b := a.As4()
				passive = fmt.Sprintf("227 Entering Passive Mode (%d,%d,%d,%d,0,22)", b[0], b[1], b[2], b[3])
			}
			if !says(control, passive) {
				t.Fatal("the FTP service has not said it")
			}
			if s.client.reaches(netip.AddrPortFrom(s.person, uint16(48000+n)), netip.AddrPortFrom(s.addr, 22), soon) {
				through++
			}
			abort(control)
		}
		return through, triesOfWay
	}
}

// otherAddr is an address that is none of the server's interfaces.
func otherAddr(f family) netip.Addr { return f.addr(9, 0, 1) }

// routeOther sends what is for another net to the server, which has a default route as most
// hosts do: to those who ask only the ordinary routes, the net is somebody else's.
func (s *site) routeOther(t testing.TB) {
	t.Helper()
	s.client.route(t, s.family.addr(9, 0, 0), s.addr)
	s.server.run(t, "ip", fmt.Sprintf("-%d", int(s.family)), "route", "add", "default", "via", s.person.String())
}

// localByRule makes all of another net local to what arrives from the client, and only to that.
func localByRule(t testing.TB, s *site) assault {
	ip := fmt.Sprintf("-%d", int(s.family))
	net := fmt.Sprintf("%v/%d", s.family.addr(9, 0, 0), s.family.wire())
	s.server.run(t, "ip", ip, "rule", "add", "iif", "net1", "lookup", "100")
	s.server.run(t, "ip", ip, "route", "add", "local", net, "dev", "lo", "table", "100")
	s.routeOther(t)
	return s.reachAt(t, netip.AddrPortFrom(otherAddr(s.family), 22))
}

// localByTPROXY has packets to another net given to the service, as transparent proxies do.
func localByTPROXY(t testing.TB, s *site) assault {
	const tproxy = `
table inet proxy {
	chain prerouting {
		type filter hook prerouting priority mangle - 10;
		%[1]s daddr %[2]v/%[3]d meta l4proto tcp meta mark set 1
	}
}
`
	ip, name := fmt.Sprintf("-%d", int(s.family)), "ip"
	everything := "0.0.0.0/0"
	if s.family == ipv6 {
		name, everything = "ip6", "::/0"
	}
	s.server.runWith(t, fmt.Sprintf(tproxy, name, s.family.addr(9, 0, 0), s.family.wire()), "nft", "-f", "-")
	s.server.run(t, "ip", ip, "rule", "add", "fwmark", "1", "lookup", "100")
	s.server.run(t, "ip", ip, "route", "add", "local", everything, "dev", "lo", "table", "100")
	s.routeOther(t)
	return s.reachAt(t, netip.AddrPortFrom(otherAddr(s.family), 22))
}

// reachAt connects to where the service can be reached in a strange way.
func (s *site) reachAt(t testing.TB, to netip.AddrPort) assault {
	t.Helper()
	if !s.client.reaches(netip.AddrPortFrom(s.person, 41001), to, aWhile) {
		t.Fatalf("without a gate %v is no way to the service", to)
	}
	return func(t testing.TB, _ keeper) (through, of int) {
		for n := range triesOfWay {
			if s.client.reaches(netip.AddrPortFrom(s.person, uint16(49000+n)), to, soon) {
				through++
			}
		}
		return through, triesOfWay
	}
}

// redirectedPort is one that arrives at port 22.
const redirectedPort = 2022

func redirected(t testing.TB, s *site) assault {
	const redirect = `
table inet redirection {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		tcp dport %d redirect to :22
	}
}
`
	s.server.runWith(t, fmt.Sprintf(redirect, redirectedPort), "nft", "-f", "-")
	return s.reachAt(t, netip.AddrPortFrom(s.addr, redirectedPort))
}
