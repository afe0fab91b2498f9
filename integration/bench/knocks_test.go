package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A knockTimer knocks, and then tries port 22 until it answers. Each time it is
// somebody else, in a net behind the client.
type knockTimer struct {
	wire    *wire
	answers int // a socket that sees what comes back
	to      netip.Addr
	people  int // so far

	opens func(from netip.Addr) ([][]byte, error) // the frames that open the door
}

func newKnockTimer(t testing.TB, s *lab.Topology) *knockTimer {
	t.Helper()
	index := s.Client.InterfaceByName(t, "net1").Index
	p := &knockTimer{
		wire:    openWire(t, s.Client, s.Server, 1),
		answers: s.Client.PacketSocket(t, index, unix.ETH_P_IP),
		to:      s.Addr,
	}
	p.opens = p.knocks
	return p
}

// knocks returns the sequence of the benchmarks.
func (p *knockTimer) knocks(from netip.Addr) ([][]byte, error) {
	var knocks [][]byte
	for _, k := range lab.SSHSequence {
		syn, err := lab.ParseKnock(from, p.to, k)
		if err != nil {
			return nil, err
		}
		knocks = append(knocks, p.wire.frame(syn))
	}
	return knocks, nil
}

// A probe is how it went when people knocked.
type probe struct {
	tried int
	took  []time.Duration // of those who got in, in order
}

const (
	// pauseOfProbe is how long a knockTimer sleeps between two tries. It grows with
	// the time waited, so that it never adds more than a twentieth to that. A
	// longer one would be what is measured of systems that are fast.
	pauseOfProbe = 25 * time.Microsecond

	// probeTimeout is how long somebody waits to get in.
	probeTimeout = time.Second

	// betweenPeople is how long after one has got in the next one knocks.
	betweenPeople = 20 * time.Millisecond

	// mostShutOut ends a measurement: where that many have not got in, more
	// would not tell more.
	mostShutOut = 40
)

// knock has n people knock, one after the other.
func (p *knockTimer) knock(t testing.TB, n int) probe {
	t.Helper()
	var result probe
	err := lab.OnOwnThread(func() error {
		if err := pin(-1); err != nil {
			return err
		}
		// Sleep for as long as asked, and not 50 µs more.
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
			return err
		}
		for result.tried < n && result.tried-len(result.took) < mostShutOut {
			took, in, err := p.knockOnce(p.somebody())
			if err != nil {
				return err
			}
			result.tried++
			if in {
				result.took = append(result.took, took)
			}
			time.Sleep(betweenPeople)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("prober: %v", err)
	}
	slices.Sort(result.took)
	return result
}

// somebody is a person who has not been here yet.
func (p *knockTimer) somebody() netip.Addr {
	p.people++
	return lab.IPv4.Addr(2, byte(p.people>>8), byte(p.people))
}

// knockOnce knocks back to back, and says how long after the last knock was
// about to be sent the port has answered.
func (p *knockTimer) knockOnce(from netip.Addr) (took time.Duration, in bool, err error) {
	knocks, err := p.opens(from)
	if err != nil {
		return 0, false, err
	}
	a := attempt{
		from: netip.AddrPortFrom(from, uint16(32768+rand.IntN(28000))),
		to:   netip.AddrPortFrom(p.to, 22),
		seq:  rand.Uint32(),
	}
	syn := p.wire.frame(lab.TCP(a.from, a.to, a.seq, lab.FlagSYN))

	var start time.Time
	for _, k := range knocks {
		start = time.Now()
		if err := p.wire.send(k); err != nil {
			return 0, false, err
		}
	}
	for took < probeTimeout {
		if err := p.wire.send(syn); err != nil {
			return 0, false, err
		}
		in, err := p.answered(a, max(pauseOfProbe, took/20))
		took = time.Since(start)
		if err != nil {
			return 0, false, err
		}
		if in {
			// Whoever knocks next finds no half-open connections.
			rst := p.wire.frame(lab.TCP(a.from, a.to, a.seq+1, lab.FlagRST))
			return took, true, p.wire.send(rst)
		}
	}
	return 0, false, nil
}

// An attempt is a connection that somebody asks for.
type attempt struct {
	from, to netip.AddrPort
	seq      uint32
}

// answered waits for the answer to an attempt.
func (p *knockTimer) answered(a attempt, limit time.Duration) (bool, error) {
	timeout := unix.NsecToTimespec(int64(limit))
	_, err := unix.Ppoll([]unix.PollFd{{Fd: int32(p.answers), Events: unix.POLLIN}}, &timeout, nil)
	if err != nil && err != unix.EINTR {
		return false, err
	}
	b := make([]byte, 128)
	for {
		n, err := unix.Read(p.answers, b)
		switch {
		case err == unix.EAGAIN:
			return false, nil
		case err != nil && err != unix.EINTR:
			return false, err
		case err == nil && a.isAnswer(b[:n]):
			return true, nil
		}
	}
}

// isAnswer says whether a frame accepts the connection.
func (a attempt) isAnswer(frame []byte) bool {
	if len(frame) < tcpHeader+20 || frame[ipHeader+9] != unix.IPPROTO_TCP {
		return false
	}
	ip, tcp := frame[ipHeader:], frame[tcpHeader:]
	return [4]byte(ip[16:20]) == a.from.Addr().As4() &&
		binary.BigEndian.Uint16(tcp[0:]) == a.to.Port() &&
		binary.BigEndian.Uint16(tcp[2:]) == a.from.Port() &&
		tcp[13]&(lab.FlagSYN|lab.FlagACK) == lab.FlagSYN|lab.FlagACK
}

func (p probe) opened() string { return fmt.Sprintf("%d of %d", len(p.took), p.tried) }

// quantile returns how long that part of those who got in took at most.
func (p probe) quantile(q float64) span {
	if len(p.took) == 0 {
		return never
	}
	return span(p.took[int(q*float64(len(p.took)-1))])
}
