package bench

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// BenchmarkKnockToOpen measures how long after the last knock somebody gets
// through: until the first answer to a SYN on the guarded port, where one is
// sent every pauseOfProber. It says something on an idle machine only.
func BenchmarkKnockToOpen(b *testing.B) {
	s := lab.NewTopology(b, lab.IPv4)
	// The client is everybody in another net, so that each time it is
	// somebody new who knocks.
	s.Client.Run(b, "ip", "route", "add", "local", "10.2.0.0/16", "dev", "lo")
	s.Server.Route(b, lab.IPv4.Addr(2, 0, 0), lab.IPv4.Addr(1, 0, 2))
	l := s.Server.ListenTCP(b, 22)
	go acceptAndClose(l)
	lab.StartDaemon(b, s.Server, lab.SSHDoor)

	var took []time.Duration
	err := s.Client.In(func() error {
		if err := lab.StayOnProcessor(); err != nil {
			return err
		}
		for b.Loop() {
			n := len(took)
			d, err := knockToOpen(lab.IPv4.Addr(2, byte(n/250), byte(1+n%250)), s.Addr)
			if err != nil {
				return err
			}
			took = append(took, d)
			time.Sleep(pauseOfKnockers)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	quantile := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))]) / float64(time.Millisecond)
	}
	b.ReportMetric(0, "ns/op") // is of the pauses too
	b.ReportMetric(quantile(0.5), "median-ms")
	b.ReportMetric(quantile(0.99), "p99-ms")
}

// pauseOfKnockers keeps a host at rest. More than 250 packets a second
// are a flood, and the gate takes them in batches.
const pauseOfKnockers = 20 * time.Millisecond

// pauseOfProber is how long a knockTimer waits for the answer to each SYN.
const pauseOfProber = 50 * time.Microsecond

// knockToOpen knocks, and tries the guarded port until it answers.
func knockToOpen(from, to netip.Addr) (time.Duration, error) {
	var start time.Time
	for _, k := range lab.SSHSequence {
		p, err := lab.ParseKnock(from, to, k)
		if err != nil {
			return 0, err
		}
		start = time.Now() // of the last knock, in the end
		if err := p.Send(); err != nil {
			return 0, err
		}
	}

	var tries []unix.PollFd
	defer func() {
		for _, try := range tries {
			unix.Close(int(try.Fd))
		}
	}()
	for time.Since(start) < lab.Timeout {
		fd, err := startConnecting(from, to, 22)
		if err != nil {
			return 0, err
		}
		tries = append(tries, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
		pause := unix.NsecToTimespec(int64(pauseOfProber))
		n, err := unix.Ppoll(tries, &pause, nil)
		if err != nil && err != unix.EINTR {
			return 0, err
		}
		if n > 0 {
			return time.Since(start), nil
		}
	}
	return 0, fmt.Errorf("the door has not opened to %v", from)
}

// startConnecting sends a SYN, and does not wait for the answer. Closing the
// socket resets the connection, so that none of them lingers.
func startConnecting(from, to netip.Addr, port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	if err == nil {
		err = unix.Bind(fd, lab.Sockaddr(from, 0))
	}
	if err == nil {
		err = unix.Connect(fd, lab.Sockaddr(to, port))
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func acceptAndClose(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}
