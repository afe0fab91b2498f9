package bench

import (
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A wire sends Ethernet frames, below all that the sender's own host would make
// of them: the addresses in them may be anybody's.
type wire struct {
	fd     int
	header []byte // Ethernet's
}

// openWire returns one host's end of its wire to another.
func openWire(t testing.TB, from, to *lab.Host, number byte) *wire {
	t.Helper()
	name := fmt.Sprintf("net%d", number)
	here, there := from.InterfaceByName(t, name), to.InterfaceByName(t, name)
	w := &wire{header: append(append([]byte{}, there.HardwareAddr...), here.HardwareAddr...)}
	w.header = binary.BigEndian.AppendUint16(w.header, unix.ETH_P_IP)
	w.fd = from.PacketSocket(t, here.Index, 0)
	return w
}

// Where the headers of a frame without options begin, in bytes.
const (
	ipHeader  = 14
	tcpHeader = ipHeader + 20
)

// frame puts a packet of IPv4 into a frame.
func (w *wire) frame(p lab.Packet) []byte {
	return append(append([]byte{}, w.header...), p.Bytes()...)
}

// send sends a frame. A wire between namespaces has been crossed, and what
// arrived has been dealt with by the other side's kernel, when it returns.
func (w *wire) send(frame []byte) error {
	_, err := unix.Write(w.fd, frame)
	return err
}
