package integration

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A link is one host's end of a wire, below IP: it sends any packet with any address, and
// sees all that comes back.
type link struct {
	fd       int
	ethernet []byte // the two addresses of a frame's header
	from, to *host
	net      byte
	frame    []byte
	control  []byte
}

// openLink returns a host's end of its wire to another.
func openLink(t testing.TB, from, to *host, net byte) *link {
	t.Helper()
	name := fmt.Sprintf("net%d", net)
	here, there := from.interfaceByName(t, name), to.interfaceByName(t, name)
	l := &link{from: from, to: to, net: net, frame: make([]byte, 1<<16), control: make([]byte, 128)}
	l.ethernet = append(append([]byte{}, there.HardwareAddr...), here.HardwareAddr...)
	l.fd = from.packetSocket(t, here.Index, unix.ETH_P_ALL)
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		t.Fatal(err)
	}
	return l
}

// phantom makes the other host send what is for an address to this link, where no stack
// has it: only the test answers for it.
func (l *link) phantom(t testing.TB, who netip.Addr) netip.Addr {
	t.Helper()
	here := l.from.interfaceByName(t, fmt.Sprintf("net%d", l.net))
	l.to.run(t, "ip", "neigh", "replace", who.String(), "lladdr", here.HardwareAddr.String(), "nud", "permanent", "dev", here.Name)
	return who
}

// send sends packets in their order.
func (l *link) send(t testing.TB, packets ...*datagram) {
	t.Helper()
	for _, d := range packets {
		if err := l.write(d); err != nil {
			t.Fatalf("sending from %v to %v: %v", d.from, d.to, err)
		}
	}
}

func (l *link) write(d *datagram) error {
	protocol := uint16(unix.ETH_P_IPV6)
	if d.to.Is4() {
		protocol = unix.ETH_P_IP
	}
	f := binary.BigEndian.AppendUint16(append([]byte{}, l.ethernet...), protocol)
	_, err := unix.Write(l.fd, append(f, d.bytes()...))
	return err
}

// receive returns the next packet that came in and is wanted, or false if none does for a time.
func (l *link) receive(t testing.TB, patience time.Duration, want func(arrived) bool) (arrived, bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		n, control, _, from, err := unix.Recvmsg(l.fd, l.frame, l.control, 0)
		switch {
		case err == unix.EAGAIN:
			left := time.Until(deadline)
			if left <= 0 {
				return arrived{}, false
			}
			unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
			continue
		case err == unix.EINTR:
			continue
		case err != nil:
			t.Fatal(err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if a, ok := parseArrived(append([]byte{}, l.frame[:n]...)); ok && want(a) {
			a.unsummed = unsummed(l.control[:control])
			return a, true
		}
	}
}

// unsummed reports whether a packet's checksum was left to the sender's network card, which
// a wire between namespaces does not have.
func unsummed(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for _, m := range messages {
		if m.Header.Type == unix.PACKET_AUXDATA && binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0 {
			return true
		}
	}
	return false
}

// answers returns all that somebody has been answered so far, from an address, and is done
// when the host has answered a question that is sent now: nothing on a wire overtakes.
func (l *link) answers(t testing.TB, who, server netip.Addr) []arrived {
	t.Helper()
	echo := echoRequest(who, server)
	var all []arrived
	deadline := time.Now().Add(aWhile)
	l.send(t, echo)
	for {
		a, ok := l.receive(t, time.Second, func(a arrived) bool { return a.to == who && !isNeighbour(a) })
		switch {
		case ok && isEchoReply(a):
			return all
		case ok:
			all = append(all, a)
		case time.Now().After(deadline):
			t.Fatalf("%v does not answer %v", server, who)
		default:
			l.send(t, echo)
		}
	}
}

// echoRequest is a ping.
func echoRequest(from, to netip.Addr) *datagram {
	b := []byte{8, 0, 0, 0, 1, 1, 0, 1}
	if to.Is4() {
		binary.BigEndian.PutUint16(b[2:], complement(wordSum(b)))
		return &datagram{from: from, to: to, proto: unix.IPPROTO_ICMP, payload: b}
	}
	b[0] = 128
	return transport(unix.IPPROTO_ICMPV6, from, to, b, 2)
}

func isEchoReply(a arrived) bool {
	return a.proto == unix.IPPROTO_ICMP && a.payload[0] == 0 || a.proto == unix.IPPROTO_ICMPV6 && a.payload[0] == 129
}

// isNeighbour reports whether the packet is about link addresses.
func isNeighbour(a arrived) bool {
	return a.proto == unix.IPPROTO_ICMPV6 && a.payload[0] >= 133 && a.payload[0] <= 137
}
