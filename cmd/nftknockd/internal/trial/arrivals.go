package trial

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/words"
	"nftknock/config"
	"nftknock/knock"
)

// Arrivals count the packets to knock ports that arrive on interfaces which are not
// guarded, for a trial of a configuration that names the wrong ones. The table does not see
// these: a packet socket does (packet(7)).
type Arrivals struct {
	guarded []string

	mu     sync.Mutex
	counts map[string]int // by interface
}

// WatchArrivals counts until the context ends. Where every interface is guarded, or nobody
// may look, it counts nothing.
func WatchArrivals(ctx context.Context, cfg *config.Config) *Arrivals {
	a := &Arrivals{guarded: cfg.Interfaces, counts: make(map[string]int)}
	if len(cfg.Interfaces) == 0 {
		return a
	}
	socket, err := packetSocket(cfg.Doors)
	if err != nil {
		return a
	}
	context.AfterFunc(ctx, func() { socket.Close() })
	go a.read(socket)
	return a
}

func (a *Arrivals) read(socket *os.File) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	var buf [1]byte // the filter has looked: where it came from is enough
	for {
		var from unix.Sockaddr
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			_, from, failed = unix.Recvfrom(int(fd), buf[:], 0)
			return failed != unix.EAGAIN
		})
		if err != nil || failed != nil {
			return
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype != unix.PACKET_OUTGOING {
			a.count(link.Ifindex)
		}
	}
}

func (a *Arrivals) count(index int) {
	i, err := net.InterfaceByIndex(index)
	if err != nil || i.Flags&net.FlagLoopback != 0 || slices.Contains(a.guarded, i.Name) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[i.Name]++
}

// String says what was seen, or nothing.
func (a *Arrivals) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var seen []string
	for _, name := range slices.Sorted(maps.Keys(a.counts)) {
		seen = append(seen, fmt.Sprintf("%s to knock ports arrived on %s, which is not guarded", words.Count(a.counts[name], "packet"), name))
	}
	return strings.Join(seen, "; ")
}

// packetSocket returns a socket for what arrives at the ports of sequences, on any interface.
func packetSocket(doors []knock.Door) (*os.File, error) {
	program, err := bpf.Assemble(toPorts(doors))
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // nothing until it is bound
	if err != nil {
		return nil, err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter)
	if err == nil {
		all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "packet socket"), nil
}

// toPorts accepts IPv4 and IPv6 packets to knock ports, without extension headers.
func toPorts(doors []knock.Door) []bpf.Instruction {
	match := []bpf.Instruction{} // of the port in A
	for _, d := range doors {
		for _, p := range d.Sequence {
			match = append(match, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(p.Number), SkipTrue: 1}, bpf.RetConstant{Val: 1})
		}
	}
	match = append(match, bpf.RetConstant{Val: 0})
	program := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 1},
		bpf.Jump{Skip: uint32(2 + len(match))}, // IPv4 ends here
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 2, Size: 2},
	}
	program = append(program, match...)
	program = append(program,
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 42, Size: 2},
	)
	return append(program, match...)
}
