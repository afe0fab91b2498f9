package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Link is one host's end of a wire, below IP: it sends any packet with any address, and
// sees all that comes back.
type Link struct {
	fd       int
	ethernet []byte // the two addresses of a frame's header
	from, to *Host
	net      byte
	frame    []byte
	control  []byte // what the kernel says about it
}

// OpenLink returns a host's end of its wire to another.
func OpenLink(t testing.TB, from, to *Host, net byte) *Link {
	t.Helper()
	name := fmt.Sprintf("net%d", net)
	here, there := from.InterfaceByName(t, name), to.InterfaceByName(t, name)
	l := &Link{from: from, to: to, net: net, frame: make([]byte, 1<<16), control: make([]byte, 128)}
	l.ethernet = append(append([]byte{}, there.HardwareAddr...), here.HardwareAddr...)
	l.fd = from.PacketSocket(t, here.Index, unix.ETH_P_ALL)
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		t.Fatal(err)
	}
	return l
}

// Phantom makes the other host send what is for an address to this link, where no stack
// has it: only the test answers for it.
func (l *Link) Phantom(t testing.TB, who netip.Addr) netip.Addr {
	t.Helper()
	here := l.from.InterfaceByName(t, fmt.Sprintf("net%d", l.net))
	l.to.Run(t, "ip", "neigh", "replace", who.String(), "lladdr", here.HardwareAddr.String(), "nud", "permanent", "dev", here.Name)
	return who
}

// Send sends packets in their order.
func (l *Link) Send(t testing.TB, packets ...*Datagram) {
	t.Helper()
	for _, d := range packets {
		if err := l.Write(d); err != nil {
			t.Fatalf("sending from %v to %v: %v", d.From, d.To, err)
		}
	}
}

// Write sends one packet. Unlike Send it can be used from any goroutine.
func (l *Link) Write(d *Datagram) error {
	protocol := uint16(unix.ETH_P_IPV6)
	if d.To.Is4() {
		protocol = unix.ETH_P_IP
	}
	f := binary.BigEndian.AppendUint16(append([]byte{}, l.ethernet...), protocol)
	_, err := unix.Write(l.fd, append(f, d.Bytes()...))
	return err
}

// Receive returns the next packet that came in and is wanted, or false if none does for a time.
func (l *Link) Receive(t testing.TB, timeout time.Duration, want func(Received) bool) (Received, bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; {
		n, control, _, from, err := unix.Recvmsg(l.fd, l.frame, l.control, 0)
		switch {
		case err == unix.EAGAIN:
			left := time.Until(deadline)
			if left <= 0 {
				return Received{}, false
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
		if a, ok := ParseReceived(append([]byte{}, l.frame[:n]...)); ok && want(a) {
			a.Unsummed = unsummed(l.control[:control])
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

// Answers returns all that somebody has been answered so far, from an address, and is done
// when the host has answered a question that is sent now: nothing on a wire overtakes.
func (l *Link) Answers(t testing.TB, who, server netip.Addr) []Received {
	t.Helper()
	echo := EchoRequest(who, server)
	var all []Received
	deadline := time.Now().Add(Timeout)
	l.Send(t, echo)
	for {
		a, ok := l.Receive(t, time.Second, func(a Received) bool { return a.To == who && !IsNeighbour(a) })
		switch {
		case ok && IsEchoReply(a):
			return all
		case ok:
			all = append(all, a)
		case time.Now().After(deadline):
			t.Fatalf("%v does not answer %v", server, who)
		default:
			l.Send(t, echo)
		}
	}
}

// EchoRequest is a ping.
func EchoRequest(from, to netip.Addr) *Datagram {
	b := []byte{8, 0, 0, 0, 1, 1, 0, 1}
	if to.Is4() {
		binary.BigEndian.PutUint16(b[2:], Complement(WordSum(b)))
		return &Datagram{From: from, To: to, Proto: unix.IPPROTO_ICMP, Payload: b}
	}
	b[0] = 128
	return NewDatagram(unix.IPPROTO_ICMPV6, from, to, b, 2)
}

// IsEchoReply reports whether the packet answers a ping.
func IsEchoReply(a Received) bool {
	return a.Proto == unix.IPPROTO_ICMP && a.Payload[0] == 0 || a.Proto == unix.IPPROTO_ICMPV6 && a.Payload[0] == 129
}

// IsNeighbour reports whether the packet is about link addresses.
func IsNeighbour(a Received) bool {
	return a.Proto == unix.IPPROTO_ICMPV6 && a.Payload[0] >= 133 && a.Payload[0] <= 137
}

// InterfaceByName returns an interface of the host, with its index and link-layer address.
func (h *Host) InterfaceByName(t testing.TB, name string) *net.Interface {
	t.Helper()
	var i *net.Interface
	err := h.In(func() (err error) {
		i, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %s: %v", h.Name, name, err)
	}
	return i
}

// PacketSocket returns a socket for an interface's frames. It receives those of
// one protocol, or none.
func (h *Host) PacketSocket(t testing.TB, index int, protocol uint16) int {
	t.Helper()
	fd := -1
	err := h.In(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// The kernel wants the protocol in network byte order.
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: protocol<<8 | protocol>>8})
	})
	if err != nil {
		t.Fatalf("%s: packet socket: %v", h.Name, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// PacketsReceived returns how many packets have arrived at the host on net 1.
func (h *Host) PacketsReceived(t *testing.T) int {
	t.Helper()
	var table []byte
	err := h.In(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/dev")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		name, numbers, _ := strings.Cut(strings.TrimSpace(line), ":")
		if fields := strings.Fields(numbers); name == "net1" && len(fields) > 1 {
			n, err := strconv.Atoi(fields[1]) // after the bytes, the packets
			if err != nil {
				t.Fatalf("/proc/net/dev: %v", err)
			}
			return n
		}
	}
	t.Fatalf("/proc/net/dev of %s has no net1:\n%s", h.Name, table)
	return 0
}
