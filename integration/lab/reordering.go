package lab

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ConnectReordering joins two hosts as Connect does, by a wire that carries each second
// IP packet from b to a late, as one of two ways through a network that is longer.
// (The kernels that the tests run on do not all have netem.)
func ConnectReordering(t testing.TB, net byte, a, b *Host, late time.Duration) {
	t.Helper()
	middle := NewHost(t, "middle")
	name := fmt.Sprintf("net%d", net)
	var ends [2]int
	for i, h := range []*Host{a, b} {
		far := fmt.Sprintf("end%d", i)
		const extraFile = "/proc/self/fd/3" // the first after the standard streams
		cmd := Command(t.Context(), t, "ip", "link", "add", name, "type", "veth", "peer", "name", far, "netns", extraFile)
		cmd.ExtraFiles = []*os.File{middle.NS}
		if err := h.In(cmd.Run); err != nil {
			t.Fatal(err)
		}
		h.Run(t, "ip", "link", "set", name, "up")
		middle.Run(t, "ip", "link", "set", far, "up", "promisc", "on")
		ends[i] = middle.PacketSocket(t, middle.InterfaceByName(t, far).Index, unix.ETH_P_ALL)
		for option, value := range map[int]int{unix.PACKET_VNET_HDR: 1, unix.PACKET_IGNORE_OUTGOING: 1} {
			if err := unix.SetsockoptInt(ends[i], unix.SOL_PACKET, option, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.SetsockoptInt(ends[i], unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			t.Fatal(err)
		}
		for _, f := range []Family{IPv4, IPv6} {
			h.AddAddr(t, net, f.Addr(net, 0, byte(i+1)))
		}
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	for _, way := range []carrier{{from: ends[0], to: ends[1]}, {from: ends[1], to: ends[0], late: late}} {
		go func() {
			way.carry(stop)
			done <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		close(stop)
		<-done
		<-done
	})
}

// A carrier is one direction of such a wire.
type carrier struct {
	from, to int
	late     time.Duration
	packets  int
	queue    frames
}

// carry carries frames in the order of the times at which they are due. That counts
// from when the kernel received them, so that a machine that is busy carries them late
// and in no other order.
func (c *carrier) carry(stop <-chan struct{}) {
	frame, control := make([]byte, 1<<17), make([]byte, 128)
	for {
		select {
		case <-stop:
			return
		default:
		}
		unix.Poll([]unix.PollFd{{Fd: int32(c.from), Events: unix.POLLIN}}, 1)
		for {
			n, cn, _, _, err := unix.Recvmsg(c.from, frame, control, 0)
			if err != nil {
				break
			}
			heap.Push(&c.queue, queued{c.due(frame[:n], control[:cn]), append([]byte{}, frame[:n]...)})
		}
		for len(c.queue) > 0 && time.Now().After(c.queue[0].due) {
			unix.Write(c.to, heap.Pop(&c.queue).(queued).frame)
		}
	}
}

func (c *carrier) due(frame, control []byte) time.Time {
	at := time.Now()
	if messages, err := unix.ParseSocketControlMessage(control); err == nil && len(messages) == 1 {
		d := messages[0].Data
		at = time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
	}
	const vnetHeader = 10
	const protoOfIPv4 = vnetHeader + 23
	if len(frame) > protoOfIPv4 && frame[protoOfIPv4] == unix.IPPROTO_TCP {
		if c.packets++; c.packets%2 == 1 {
			return at.Add(c.late)
		}
	}
	return at
}

type queued struct {
	due   time.Time
	frame []byte
}

// frames is a heap, the first due on top.
type frames []queued

func (q frames) Len() int           { return len(q) }
func (q frames) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q frames) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *frames) Push(x any)        { *q = append(*q, x.(queued)) }
func (q *frames) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
