package life

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A prober is never let in. It sends SYNs to the guarded port at a steady rate,
// and takes note of every packet that comes back. No two SYNs have the same source
// and port: one that was answered may be taken for a connection for a while.
type prober struct {
	topology *lab.Topology
	to       netip.AddrPort
	rate     int // SYNs a second

	socket   *os.File // receives what arrives at the client
	arrived  int      // what the server's interface had received before the first SYN
	stop     chan struct{}
	finished chan struct{} // no more SYNs are sent

	mu       sync.Mutex
	sent     []time.Time // by the SYNs' numbers, which are their sequence numbers
	answered map[int]bool
	err      error // the first thing that went wrong
}

// startProber starts to try port 22, which nothing guards yet: that the first
// SYNs are answered shows that the prober notices.
func startProber(t *testing.T, s *lab.Topology, rate int) *prober {
	t.Helper()
	i := &prober{
		topology: s, to: netip.AddrPortFrom(s.Addr, 22), rate: rate,
		stop: make(chan struct{}), finished: make(chan struct{}),
		answered: make(map[int]bool),
	}
	i.socket = listenAtWire(t, s.Client, s.Family)
	i.arrived = s.Server.PacketsReceived(t)
	go i.listen()
	go func() {
		defer close(i.finished)
		if err := s.Client.In(i.try); err != nil {
			i.fail(err)
		}
	}()
	t.Cleanup(func() { i.end() })

	lab.Eventually(t, "the unguarded port answers the prober", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return len(i.answered) > 0
	})
	return i
}

// end ends the trying, and hears what is still on its way.
func (i *prober) end() {
	select {
	case <-i.stop:
		return
	default:
	}
	close(i.stop)
	<-i.finished
	time.Sleep(100 * time.Millisecond)
	n, err := missed(i.socket)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d packets were not seen: the test proves nothing", n)
	}
	if err != nil {
		i.fail(err)
	}
	i.socket.Close()
}

func (i *prober) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err == nil {
		i.err = err
	}
}

// from returns the source of a SYN.
func (i *prober) from(n int) netip.AddrPort {
	const firstPort, ports = 1024, 1<<16 - 1024
	return netip.AddrPortFrom(i.topology.Family.Addr(2, strangers, byte(1+n/ports)), uint16(firstPort+n%ports))
}

// isFrom says whether an address is the source of any SYN.
func (i *prober) isFrom(a netip.Addr) bool {
	return kindOf(netip.PrefixFrom(a, a.BitLen())) == strangers
}

// try sends SYNs from this thread's host.
func (i *prober) try() error {
	const pause = 500 * time.Microsecond
	atOnce := i.rate/100 + 1 // what it has missed it makes up for bit by bit
	start := time.Now()
	from, fd := netip.Addr{}, -1
	defer func() { unix.Close(fd) }()
	for n := 0; ; time.Sleep(pause) {
		select {
		case <-i.stop:
			return nil
		default:
		}
		due := int(time.Since(start).Seconds()*float64(i.rate)) - n
		for range min(due, atOnce) {
			source := i.from(n)
			if source.Addr() != from {
				unix.Close(fd)
				var err error
				if fd, err = openRawSocket(source.Addr(), i.to.Addr()); err != nil {
					return err
				}
				from = source.Addr()
			}
			syn := lab.TCP(source, i.to, uint32(n), lab.FlagSYN)
			i.mu.Lock()
			i.sent = append(i.sent, time.Now())
			i.mu.Unlock()
			if err := unix.Sendto(fd, syn.Payload, 0, lab.Sockaddr(i.to.Addr(), 0)); err != nil {
				return fmt.Errorf("sending SYN %d: %w", n, err)
			}
			n++
		}
	}
}

// openRawSocket returns a socket of this thread's host for TCP segments between two
// addresses, of which the first may be anybody's.
func openRawSocket(from, to netip.Addr) (int, error) {
	domain, level, transparent := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TRANSPARENT
	if to.Is6() {
		domain, level, transparent = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, level, transparent, 1)
	if err == nil {
		err = unix.Bind(fd, lab.Sockaddr(from, 0))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// listen takes note of the packets that are for the prober.
func (i *prober) listen() {
	b := make([]byte, 2048)
	for {
		n, err := i.socket.Read(b)
		if errors.Is(err, os.ErrClosed) {
			return
		} else if err != nil {
			i.fail(fmt.Errorf("listening for answers: %w", err))
			return
		}
		if to, payload, ok := openPacket(b[:n]); ok && i.isFrom(to) {
			i.recv(payload)
		}
	}
}

// recv takes in an answer. A segment acknowledges the sequence number after the
// SYN's; what is no segment is no less of an answer, to nobody knows which SYN.
func (i *prober) recv(payload []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	number := len(i.sent) - 1
	if len(payload) >= 20 {
		if n := int(binary.BigEndian.Uint32(payload[8:])) - 1; n >= 0 && n <= number {
			number = n
		}
	}
	i.answered[number] = true
}

// openPacket returns the destination and the payload of an IP packet.
func openPacket(b []byte) (to netip.Addr, payload []byte, ok bool) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[16:20])), b[min(len(b), int(b[0]&0xf)*4):], true
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[24:40])), b[40:], true
	}
	return netip.Addr{}, nil, false
}

// listenAtWire returns a socket that receives every packet of a family that
// arrives on net 1, from its IP header on.
func listenAtWire(t *testing.T, h *lab.Host, f lab.Family) *os.File {
	t.Helper()
	protocol := uint16(unix.ETH_P_IP)
	if f == lab.IPv6 {
		protocol = unix.ETH_P_IPV6
	}
	var ear *os.File
	err := h.In(func() error {
		wire, err := net.InterfaceByName("net1")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		ear = os.NewFile(uintptr(fd), "packet socket")
		const buffer = 8 << 20 // bytes
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
			return err
		}
		// The kernel wants the protocol in network byte order.
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: wire.Index, Protocol: protocol<<8 | protocol>>8})
	})
	if err != nil {
		t.Fatalf("%s: listening at the wire: %v", h.Name, err)
	}
	return ear
}

// missed returns how many packets did not fit into a packet socket's buffer.
func missed(socket *os.File) (int, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stats *unix.TpacketStats
	controlErr := raw.Control(func(fd uintptr) {
		stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := errors.Join(controlErr, err); err != nil {
		return 0, err
	}
	return int(stats.Drops), nil
}

// now returns the number of the next SYN.
func (i *prober) now() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.sent)
}

// A breach is the SYNs that were answered, of those sent in a span of time.
type breach struct {
	sent, answered int
	wide           time.Duration // between the first and the last that were answered
}

// breach looks at the SYNs from one number up to another.
func (i *prober) breach(from, to int) breach {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := breach{sent: to - from}
	var first int
	for n := from; n < to; n++ {
		if !i.answered[n] {
			continue
		}
		if b.answered == 0 {
			first = n
		}
		b.answered++
		b.wide = i.sent[n].Sub(i.sent[first])
	}
	return b
}

// count ends the trying and returns how it went from a SYN on. It makes sure that
// the SYNs have got to the server, and that the ear has missed nothing.
func (i *prober) count(t *testing.T, from int) breach {
	t.Helper()
	i.end()
	if i.err != nil {
		t.Fatalf("prober: %v", i.err)
	}
	all := i.breach(from, i.now())
	t.Logf("prober: %d SYNs sent, %d answered", all.sent, all.answered)
	if n := i.topology.Server.PacketsReceived(t) - i.arrived; n < i.now() {
		t.Errorf("the server has received %d packets, while the prober has sent %d", n, i.now())
	}
	if all.sent == 0 {
		t.Error("the prober has not tried: the test proves nothing")
	}
	return all
}

// expectSilence ends the trying, and makes sure that no SYN from that number on
// was answered.
func (i *prober) expectSilence(t *testing.T, from int) {
	t.Helper()
	if b := i.count(t, from); b.answered > 0 {
		t.Errorf("%d of %d SYNs were answered, within %v", b.answered, b.sent, b.wide)
	}
}
