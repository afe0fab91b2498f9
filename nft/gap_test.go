package nft

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCommitHasNoGap sends datagrams to a guarded port as fast as it can from another
// namespace, while a trial's table gives its place to one that stays. Without the
// second table that stands by, one datagram passes in about 60 rounds.
func TestCommitHasNoGap(t *testing.T) {
	inNetNS(t)
	sender := neighbour(t)
	nftCommand(t, `table inet counting { chain input { type filter hook input priority 0; udp dport 51820 counter; }; }`, "-f", "-")
	s := spec(door("vpn", udp(51820)))

	for range 15 {
		table := tryOut(t, s)
		before := passed(t)
		f := sender.flood(t)
		f.awaitMore(t)
		if err := table.Commit(true); err != nil {
			t.Fatal(err)
		}
		f.awaitMore(t)
		f.stop()
		if n := passed(t) - before; n > 0 {
			t.Errorf("%d of %d datagrams have passed", n, f.sent.Load())
		}
		if err := table.Remove(); err != nil {
			t.Fatal(err)
		}
		table.Close()
	}
}

var counted = regexp.MustCompile(`counter packets (\d+)`)

func passed(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(counted.FindStringSubmatch(nftCommand(t, "", "list", "table", "inet", "counting"))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A peer is the other end of a wire, in a namespace of its own.
type peer struct{ ns *os.File }

// neighbour connects this namespace, as 192.0.2.1, with another one.
func neighbour(t *testing.T) *peer {
	t.Helper()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	enter := func(f *os.File) {
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatal(err)
		}
	}
	ip := func(args ...string) {
		t.Helper()
		cmd := exec.Command("ip", args...)
		cmd.ExtraFiles = []*os.File{here}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	p := &peer{}
	if p.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.ns.Close() })
	ip("link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", "/proc/self/fd/3")
	ip("addr", "add", "192.0.2.2/24", "dev", "wire")
	ip("link", "set", "wire", "up")
	enter(here)
	ip("addr", "add", "192.0.2.1/24", "dev", "wire")
	ip("link", "set", "wire", "up")
	return p
}

// A flood is datagrams, one after the other.
type flood struct {
	sent atomic.Int64
	end  chan struct{}
	done chan error
}

func (p *peer) flood(t *testing.T) *flood {
	t.Helper()
	f := &flood{end: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		f.done <- f.run(p)
	}()
	return f
}

func (f *flood) run(p *peer) error {
	if err := unix.Setns(int(p.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	c, err := net.Dial("udp", "192.0.2.1:51820")
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		select {
		case <-f.end:
			return nil
		default:
		}
		if _, err := c.Write([]byte("x")); err == nil { // a refusal from before the table is no matter
			f.sent.Add(1)
		}
	}
}

// awaitMore returns when some more datagrams are on their way.
func (f *flood) awaitMore(t *testing.T) {
	t.Helper()
	const some = 100
	for until := f.sent.Load() + some; f.sent.Load() < until; time.Sleep(100 * time.Microsecond) {
		select {
		case err := <-f.done:
			t.Fatal(err)
		default:
		}
	}
}

func (f *flood) stop() {
	close(f.end)
	<-f.done
}
