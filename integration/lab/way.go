package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A Way is one that somebody may take around a gate in front of port 22, without having
// been let in, or after the door has shut. The gate may be ours or a peer's.
type Way struct {
	Name  string
	Begin func(t testing.TB, s *Topology) Assault // before the gate is there
}

// An Assault takes a way, and returns how often that worked.
type Assault func(t testing.TB, k Keeper) (through, of int)

// A Keeper is what a gate's owner does with it.
type Keeper struct {
	Grant func(t testing.TB, who netip.Addr)
	Shut  func(t testing.TB, who netip.Addr) // the door, to who was let in
}

// Ways are those that are tried on all gates.
var Ways = []Way{
	{"an established connection, forged by two segments", forgeEstablished},
	{"a connection that was reset, after the door has shut", reuse(SayReset)},
	{"a connection that was closed, after the door has shut", reuse(SayFinish)},
	{"a SYN cookie from before the gate", cookieFromBefore},
	{"a SYN cookie once more, after its connection was reset and the door has shut", cookieAgain((*Conversation).EndByRST)},
	{"a SYN cookie once more, after its connection was closed and the door has shut", cookieAgain((*Conversation).EndByClient)},
	{"a SYN in fragments, from the port of a connection that was closed", fragmentedSYN},
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
func forgeEstablished(t testing.TB, s *Topology) Assault {
	return func(t testing.TB, _ Keeper) (through, of int) {
		l := OpenLink(t, s.Client, s.Server, 1)
		to := netip.AddrPortFrom(s.Addr, 22)
		for n := range triesOfWay {
			from := netip.AddrPortFrom(s.Source, uint16(42000+n))
			l.Send(t, Segment{From: from, To: to, Seq: 1000, Ack: 2000, Flags: FlagACK, Options: OptionMD5}.Datagram())
			l.Send(t, Segment{From: to, To: from, Seq: 2000, Ack: 1000, Flags: FlagACK}.Datagram())
			if s.Client.Reaches(from, to, soon) {
				through++
			}
		}
		return through, triesOfWay
	}
}

// reuse is let in once, has the service end the connection, and connects again from the same
// port after the door has shut.
func reuse(how string) func(t testing.TB, s *Topology) Assault {
	return func(t testing.TB, s *Topology) Assault {
		from, to := netip.AddrPortFrom(s.Source, 43210), netip.AddrPortFrom(s.Addr, 22)
		return func(t testing.TB, k Keeper) (through, of int) {
			k.Grant(t, s.Source)
			c, ok := s.Client.Reach(from, to, Timeout)
			if !ok {
				t.Fatal("let in, and the service does not answer")
			}
			End(t, c, how)
			k.Shut(t, s.Source)
			for range triesOfWay {
				if c, ok := s.Client.Reach(from, to, soon); ok {
					through++
					End(t, c, how)
				}
			}
			return through, triesOfWay
		}
	}
}

// alwaysCookies makes the server keep no half-open connections: the ACK of whoever returns
// a cookie begins one.
func alwaysCookies(t testing.TB, s *Topology) { s.Server.Sysctl(t, "net/ipv4/tcp_syncookies", "2") }

// cookieFromBefore asks for a cookie before the port is guarded, and returns it then.
func cookieFromBefore(t testing.TB, s *Topology) Assault {
	alwaysCookies(t, s)
	l := OpenLink(t, s.Client, s.Server, 1)
	who := l.Phantom(t, s.Family.Addr(1, 9, 9))
	var cookies []Segment
	for n := range triesOfWay {
		cookies = append(cookies, l.Handshake(t, netip.AddrPortFrom(who, uint16(44000+n)), netip.AddrPortFrom(s.Addr, 22)))
	}
	return func(t testing.TB, _ Keeper) (through, of int) { return l.complete(t, cookies) }
}

// complete completes handshakes, and counts those that the service answers.
func (l *Link) complete(t testing.TB, cookies []Segment) (through, of int) {
	t.Helper()
	for _, ack := range cookies {
		l.Send(t, ack.Datagram())
		if _, ok := l.banner(t, ack.From, soon); ok {
			through++
		}
	}
	return through, len(cookies)
}

// cookieAgain is given a cookie, uses it, has the connection ended, and uses it again when
// the door has shut.
func cookieAgain(end func(*Conversation, testing.TB)) func(t testing.TB, s *Topology) Assault {
	return func(t testing.TB, s *Topology) Assault {
		alwaysCookies(t, s)
		l := OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, s.Family.Addr(1, 9, 8))
		return func(t testing.TB, k Keeper) (through, of int) {
			k.Grant(t, who)
			var cookies []Segment
			for n := range triesOfWay {
				c := l.Converse(t, netip.AddrPortFrom(who, uint16(45000+n)), netip.AddrPortFrom(s.Addr, 22))
				end(c, t)
				cookies = append(cookies, c.Completed)
			}
			k.Shut(t, who)
			return l.complete(t, cookies)
		}
	}
}

// fragmentedSYN has a connection ended that was let in, and asks for the next from the same
// port when the door has shut, in fragments so short that no flags are in the first.
func fragmentedSYN(t testing.TB, s *Topology) Assault {
	l := OpenLink(t, s.Client, s.Server, 1)
	who := l.Phantom(t, s.Family.Addr(1, 9, 6))
	to := netip.AddrPortFrom(s.Addr, 22)
	return func(t testing.TB, k Keeper) (through, of int) {
		k.Grant(t, who)
		var ended []*Conversation
		for n := range triesOfWay {
			c := l.Converse(t, netip.AddrPortFrom(who, uint16(51000+n)), to)
			c.EndByServer(t)
			ended = append(ended, c)
		}
		k.Shut(t, who)
		for n, c := range ended {
			from := c.Completed.From
			whole := SYNOf(from, to, c.Next()).Datagram()
			whole.ID = uint16(5000 + n)
			l.Send(t, whole.Cut(8)...)
			if _, ok := l.Receive(t, soon, func(a Received) bool { return a.IsSegmentTo(from) && a.Flags() == FlagSYN|FlagACK }); ok {
				through++
			}
		}
		return through, triesOfWay
	}
}

// banner returns the segment in which a service says its banner to somebody.
func (l *Link) banner(t testing.TB, who netip.AddrPort, timeout time.Duration) (Received, bool) {
	t.Helper()
	return l.Receive(t, timeout, func(a Received) bool {
		return a.IsSegmentTo(who) && bytes.Equal(a.Data(), []byte(ServiceBanner))
	})
}

// scanByACK sends what no connection knows of, and looks whether the service's host says so.
func scanByACK(t testing.TB, s *Topology) Assault {
	return func(t testing.TB, _ Keeper) (through, of int) {
		l := OpenLink(t, s.Client, s.Server, 1)
		who := l.Phantom(t, s.Family.Addr(1, 9, 7))
		for n := range triesOfWay {
			from := netip.AddrPortFrom(who, uint16(46000+n))
			l.Send(t, Segment{From: from, To: netip.AddrPortFrom(s.Addr, 22), Seq: 1000, Ack: 2000, Flags: FlagACK}.Datagram())
		}
		for _, a := range l.Answers(t, who, s.Addr) {
			if a.IsTCP() && a.Source() == 22 {
				through++
			}
		}
		return through, triesOfWay
	}
}

// relatedByHelper has a service on the port of FTP, which connection tracking listens to,
// announce a connection to port 22.
func relatedByHelper(t testing.TB, s *Topology) Assault {
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
	s.Server.ServeBanner(t, 21)
	proto := "ip"
	if s.Family == IPv6 {
		proto = "ip6"
	}
	if r := s.Server.TryWith(t, fmt.Sprintf(helper, proto), "nft", "-f", "-"); r.Err != nil {
		t.Skipf("this kernel has no helper for FTP: %s", r.Stderr)
	}
	return func(t testing.TB, _ Keeper) (through, of int) {
		for n := range triesOfWay {
			control, ok := s.Client.Reach(netip.AddrPortFrom(s.Source, uint16(47000+n)), netip.AddrPortFrom(s.Addr, 21), Timeout)
			if !ok {
				t.Fatal("the FTP service does not answer")
			}
			passive := "229 Entering Extended Passive Mode (|||22|)"
			if a := s.Addr; a.Is4() {
				b := a.As4()
				passive = fmt.Sprintf("227 Entering Passive Mode (%d,%d,%d,%d,0,22)", b[0], b[1], b[2], b[3])
			}
			if !Says(control, passive) {
				t.Fatal("the FTP service has not said it")
			}
			if s.Client.Reaches(netip.AddrPortFrom(s.Source, uint16(48000+n)), netip.AddrPortFrom(s.Addr, 22), soon) {
				through++
			}
			Abort(control)
		}
		return through, triesOfWay
	}
}

// otherAddr is an address that is none of the server's interfaces.
func otherAddr(f Family) netip.Addr { return f.Addr(9, 0, 1) }

// routeOther sends what is for another net to the server, which has a default route as most
// hosts do: to those who ask only the ordinary routes, the net is somebody else's.
func (s *Topology) routeOther(t testing.TB) {
	t.Helper()
	s.Client.Route(t, s.Family.Addr(9, 0, 0), s.Addr)
	s.Server.Run(t, "ip", fmt.Sprintf("-%d", int(s.Family)), "route", "add", "default", "via", s.Source.String())
}

// localByRule makes all of another net local to what arrives from the client, and only to that.
func localByRule(t testing.TB, s *Topology) Assault {
	ip := fmt.Sprintf("-%d", int(s.Family))
	net := fmt.Sprintf("%v/%d", s.Family.Addr(9, 0, 0), s.Family.WireLen())
	s.Server.Run(t, "ip", ip, "rule", "add", "iif", "net1", "lookup", "100")
	s.Server.Run(t, "ip", ip, "route", "add", "local", net, "dev", "lo", "table", "100")
	s.routeOther(t)
	return s.reachAt(t, netip.AddrPortFrom(otherAddr(s.Family), 22))
}

// localByTPROXY has packets to another net given to the service, as transparent proxies do.
func localByTPROXY(t testing.TB, s *Topology) Assault {
	const tproxy = `
table inet proxy {
	chain prerouting {
		type filter hook prerouting priority mangle - 10;
		%[1]s daddr %[2]v/%[3]d meta l4proto tcp meta mark set 1
	}
}
`
	ip, name := fmt.Sprintf("-%d", int(s.Family)), "ip"
	everything := "0.0.0.0/0"
	if s.Family == IPv6 {
		name, everything = "ip6", "::/0"
	}
	s.Server.RunWith(t, fmt.Sprintf(tproxy, name, s.Family.Addr(9, 0, 0), s.Family.WireLen()), "nft", "-f", "-")
	s.Server.Run(t, "ip", ip, "rule", "add", "fwmark", "1", "lookup", "100")
	s.Server.Run(t, "ip", ip, "route", "add", "local", everything, "dev", "lo", "table", "100")
	s.routeOther(t)
	return s.reachAt(t, netip.AddrPortFrom(otherAddr(s.Family), 22))
}

// reachAt connects to where the service can be reached in a strange way.
func (s *Topology) reachAt(t testing.TB, to netip.AddrPort) Assault {
	t.Helper()
	if !s.Client.Reaches(netip.AddrPortFrom(s.Source, 41001), to, Timeout) {
		t.Fatalf("without a gate %v is no way to the service", to)
	}
	return func(t testing.TB, _ Keeper) (through, of int) {
		for n := range triesOfWay {
			if s.Client.Reaches(netip.AddrPortFrom(s.Source, uint16(49000+n)), to, soon) {
				through++
			}
		}
		return through, triesOfWay
	}
}

// redirectedPort is one that arrives at port 22.
const redirectedPort = 2022

func redirected(t testing.TB, s *Topology) Assault {
	const redirect = `
table inet redirection {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		tcp dport %d redirect to :22
	}
}
`
	s.Server.RunWith(t, fmt.Sprintf(redirect, redirectedPort), "nft", "-f", "-")
	return s.reachAt(t, netip.AddrPortFrom(s.Addr, redirectedPort))
}
