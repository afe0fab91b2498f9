package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A wire sends Ethernet frames, below all that the sender's own host would make
// of them: the addresses in them may be anybody's.
type wire struct {
	fd     int
	header []byte // Ethernet's
}

// openWire returns one host's end of its wire to another.
func openWire(t testing.TB, from, to *host, number byte) *wire {
	t.Helper()
	name := fmt.Sprintf("net%d", number)
	here, there := from.interfaceByName(t, name), to.interfaceByName(t, name)
	w := &wire{header: append(append([]byte{}, there.HardwareAddr...), here.HardwareAddr...)}
	w.header = binary.BigEndian.AppendUint16(w.header, unix.ETH_P_IP)
	w.fd = from.packetSocket(t, here.Index, 0)
	return w
}

func (h *host) interfaceByName(t testing.TB, name string) *net.Interface {
	t.Helper()
	var i *net.Interface
	err := h.in(func() (err error) {
		i, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %s: %v", h.name, name, err)
	}
	return i
}

// packetSocket returns a socket for an interface's frames. It receives those of
// one protocol, or none.
func (h *host) packetSocket(t testing.TB, index int, protocol uint16) int {
	t.Helper()
	fd := -1
	err := h.in(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// The kernel wants the protocol in network byte order.
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index, Protocol: protocol<<8 | protocol>>8})
	})
	if err != nil {
		t.Fatalf("%s: packet socket: %v", h.name, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Where the headers of a frame without options begin, in bytes.
const (
	ipHeader  = 14
	tcpHeader = ipHeader + 20
)

// frame puts a packet of IPv4 into a frame.
func (w *wire) frame(p packet) []byte {
	f := append([]byte{}, w.header...)
	f = append(f, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+len(p.payload)))
	f = append(f, 0, 0, 0x40, 0, 64, p.proto, 0, 0)
	f = append(append(f, p.from.AsSlice()...), p.to.AsSlice()...)
	binary.BigEndian.PutUint16(f[ipHeader+10:], complement(wordSum(f[ipHeader:])))
	return append(f, p.payload...)
}

// send sends a frame. A wire between namespaces has been crossed, and what
// arrived has been dealt with by the other side's kernel, when it returns.
func (w *wire) send(frame []byte) error {
	_, err := unix.Write(w.fd, frame)
	return err
}

// wordSum is the sum that the Internet's checksums are complements of (RFC
// 1071), over an even number of bytes.
func wordSum(b []byte) uint32 {
	var sum uint32
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum
}

func complement(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
