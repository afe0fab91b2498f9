package nft

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// TestWithoutStamps gives a listener a packet without a stamp, as kernels before 5.18 do: it
// arrived when it is read, and the kernel is asked for stamps. The next ones, which come
// from the kernel, are observed with the time at which they arrived.
func TestWithoutStamps(t *testing.T) {
	inNetNS(t)
	sender := neighbour(t)
	type knocked struct {
		at time.Time
		p  knock.Packet
	}
	seen := make(chan knocked, 1024)
	l, err := Listen(7022, func(at time.Time, p knock.Packet, _ []byte) {
		select {
		case seen <- knocked{at, p}:
		default:
		}
	}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stamps := func() (on int) {
		t.Helper()
		socket, err := l.log.Con.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		socket.Control(func(fd uintptr) { on, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMP) })
		if err != nil {
			t.Fatal(err)
		}
		return on
	}
	if stamps() != 0 {
		t.Fatal("the kernel was asked for stamps before one was missed")
	}
	// The reader has nothing to read yet, so that this is nobody else's.
	before := time.Now()
	l.clock.now()
	l.receive(message{payload: join(ipv4Header(unix.IPPROTO_UDP, nil, 0), udpHeader())})
	if k := <-seen; k.at.Before(before) || k.at.After(time.Now()) {
		t.Errorf("the packet arrived %v after it was read", k.at.Sub(before))
	}
	if stamps() != 1 {
		t.Error("the kernel was not asked for stamps")
	}

	vpn := door("vpn", udp(9))
	vpn.Sequence = []knock.Port{udp(51820)} // which the flood goes to
	open(t, spec(vpn))
	before = time.Now()
	f := sender.flood(t)
	f.awaitMore(t)
	f.stop()
	select {
	case k := <-seen:
		if k.at.Before(before) || k.at.After(time.Now()) || k.p.Port != udp(51820) {
			t.Errorf("%v arrived %v after it was sent", k.p, k.at.Sub(before))
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing is observed any more")
	}
}
