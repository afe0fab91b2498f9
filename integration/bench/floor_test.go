package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// The floor is the least that a process can do to let somebody in: it waits for the log of
// the last knock, puts the source into a transaction that is ready, and sends that. It
// checks nothing and remembers nothing.
const (
	nameOfFloor = "the least a process can do"
	floorArg    = "floor" // the test binary is that process
	floorGroup  = 7023
	floorReady  = "reading the log"
)

func startFloor(t testing.TB, s *lab.Topology, sequence []string) running {
	const table = `
table inet floor {
	set open {
		type ipv4_addr
		flags timeout
	}
	chain gate {
		type filter hook prerouting priority mangle
		tcp dport %s tcp flags syn log group %d snaplen 128 queue-threshold 1
	}
	chain input {
		type filter hook input priority filter - 10
		tcp dport 22 tcp flags syn ip saddr @open accept
		tcp dport 22 tcp flags syn drop
	}
}
`
	s.Server.RunWith(t, fmt.Sprintf(table, sequence[len(sequence)-1], floorGroup), "nft", "-f", "-")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := s.Server.Start(t, self, floorArg)
	lab.Eventually(t, "the log has a reader", func() bool { return lab.HasLine(p.Out.String(), floorReady) })
	return running{
		pid: p.Cmd.Process.Pid,
		stop: func() {
			p.Stop(os.Kill)
			s.Server.Run(t, "nft", "delete", "table", "inet", "floor")
		},
	}
}

// runFloor is the process.
func runFloor() error {
	transaction, source, err := floorTransaction()
	if err != nil {
		return err
	}
	log, err := openNetfilter()
	if err != nil {
		return err
	}
	if err := bindLog(log, floorGroup); err != nil {
		return err
	}
	table, err := openNetfilter()
	if err != nil {
		return err
	}
	fmt.Println(floorReady)
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(log, b)
		if err == unix.EINTR || err == unix.ENOBUFS {
			continue
		}
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		ip := payloadOf(b[:n])
		if len(ip) < 20 {
			continue
		}
		copy(source, ip[12:16])
		if _, err := unix.Write(table, transaction); err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
	}
}

func openNetfilter() (int, error) {
	return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
}

// bindLog has a group's packets arrive at the socket, whole, and each at once.
func bindLog(fd int, group uint16) error {
	const (
		configMessage = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
		command, mode = 1, 2                         // NFULA_CFG_CMD, NFULA_CFG_MODE
		bind, packets = 1, 2                         // NFULNL_CFG_CMD_BIND, NFULNL_COPY_PACKET
	)
	for _, attribute := range []netlink.Attribute{
		{Type: command, Data: []byte{bind}},
		{Type: mode, Data: append(binary.BigEndian.AppendUint32(nil, 128), packets, 0)},
	} {
		attributes, err := netlink.MarshalAttributes([]netlink.Attribute{attribute})
		if err != nil {
			return err
		}
		header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group)
		m := netlink.Message{
			Header: netlink.Header{Type: configMessage, Flags: netlink.Request},
			Data:   append(header, attributes...),
		}
		b, err := marshalAligned(m)
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, b); err != nil {
			return err
		}
	}
	return nil
}

// payloadOf returns the packet that a message of the log carries.
func payloadOf(message []byte) []byte {
	const headers, payload = unix.SizeofNlMsghdr + 4, 9 // NFULA_PAYLOAD
	for b := message[min(headers, len(message)):]; len(b) >= unix.SizeofNlAttr; {
		length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if length < unix.SizeofNlAttr || length > len(b) {
			return nil
		}
		if kind == payload {
			return b[unix.SizeofNlAttr:length]
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return nil
}

// floorTransaction returns the bytes that add somebody to the set, and where in them the
// address is.
func floorTransaction() (transaction, source []byte, err error) {
	marker := []byte{0xde, 0xad, 0xbe, 0xef}
	c, err := nftables.New(nftables.WithTestDial(func(request []netlink.Message) ([]netlink.Message, error) {
		for _, m := range request { // none when it asks for the answer
			m.Header.Flags &^= netlink.Acknowledge | netlink.Echo
			b, err := marshalAligned(m)
			if err != nil {
				return nil, err
			}
			transaction = append(transaction, b...)
		}
		return request, nil
	}))
	if err != nil {
		return nil, nil, err
	}
	set := &nftables.Set{
		Table: &nftables.Table{Name: "floor", Family: nftables.TableFamilyINet},
		Name:  "open", KeyType: nftables.TypeIPAddr, HasTimeout: true,
	}
	if err := c.SetAddElements(set, []nftables.SetElement{{Key: marker, Timeout: time.Minute}}); err != nil {
		return nil, nil, err
	}
	c.Flush() // its answer is of no interest
	at := bytes.Index(transaction, marker)
	if at < 0 {
		return nil, nil, fmt.Errorf("the transaction has no address: %x", transaction)
	}
	return transaction, transaction[at : at+len(marker)], nil
}

// marshalAligned works the length of a message out, which a connection would do.
func marshalAligned(m netlink.Message) ([]byte, error) {
	for len(m.Data)%4 != 0 {
		m.Data = append(m.Data, 0)
	}
	m.Header.Length = uint32(unix.SizeofNlMsghdr + len(m.Data))
	return m.MarshalBinary()
}
