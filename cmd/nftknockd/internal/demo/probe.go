package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// An answer is how a port responds to a probe.
type answer struct {
	kind answerKind
	port knock.Port
	text string // for people
}

type answerKind uint8

const (
	silence answerKind = iota // nothing came back in time
	refused                   // what a closed port says: TCP RST, ICMP port unreachable
	greeted                   // the service behind the port answered
)

type answers []answer

func (as answers) all(kind answerKind) bool {
	return !slices.ContainsFunc(as, func(a answer) bool { return a.kind != kind })
}

func (as answers) any(kind answerKind) bool {
	return slices.ContainsFunc(as, func(a answer) bool { return a.kind == kind })
}

// String says it once if all ports answer the same.
func (as answers) String() string {
	first := as[0].text
	if !slices.ContainsFunc(as, func(a answer) bool { return a.text != first }) {
		return first
	}
	texts := make([]string, len(as))
	for i, a := range as {
		texts[i] = fmt.Sprintf("%s: %s", a.port, a.text)
	}
	return strings.Join(texts, "; ")
}

// knock sends a sequence as knock(1) does: one packet each, and no waiting for
// what comes back. It returns when it sent the last one.
func (n *network) knock(from, to netip.Addr, sequence []knock.Port) (last time.Time, err error) {
	err = n.client.do(func() error {
		for _, port := range sequence {
			last = time.Now()
			fd, err := call(from, to, port)
			if err != nil {
				return err
			}
			unix.Close(fd)
		}
		return nil
	})
	return last, err
}

// ask calls all the ports at once, and returns what they answer within the limit, and
// when they had been called.
func (n *network) ask(from, to netip.Addr, ports []knock.Port, limit time.Duration) (answers, time.Time, error) {
	q := n.probe(from, to, ports)
	defer q.close()
	err := q.call()
	asked := time.Now()
	if err != nil {
		return nil, asked, err
	}
	if err := q.listen(limit); err != nil {
		return nil, asked, err
	}
	for i := range q.answers {
		if a := &q.answers[i]; a.kind == silence {
			a.text += " in " + brief(limit)
		}
	}
	return q.answers, asked, nil
}

// An probe is calls to ports that go on until they are answered.
type probe struct {
	network  *network
	from, to netip.Addr
	calls    []unix.PollFd
	about    []int   // which answer a call is for
	answers  answers // one for each port
}

func (n *network) probe(from, to netip.Addr, ports []knock.Port) *probe {
	q := &probe{network: n, from: from, to: to}
	for _, port := range ports {
		q.answers = append(q.answers, answer{silence, port, "no answer"})
	}
	return q
}

// call begins another call to each port that has not greeted yet.
func (q *probe) call() error {
	return q.network.client.do(func() error {
		for i, a := range q.answers {
			if a.kind == greeted {
				continue
			}
			fd, err := call(q.from, q.to, a.port)
			if err != nil {
				return err
			}
			q.calls = append(q.calls, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			q.about = append(q.about, i)
		}
		return nil
	})
}

// listen takes in answers until all ports have greeted, or no call is open, or
// the time is over.
func (q *probe) listen(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for len(q.calls) > 0 && !q.answers.all(greeted) {
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		timeout := unix.NsecToTimespec(left.Nanoseconds())
		if _, err := unix.Ppoll(q.calls, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for i := len(q.calls) - 1; i >= 0; i-- {
			if q.calls[i].Revents == 0 {
				continue
			}
			fd, about := int(q.calls[i].Fd), &q.answers[q.about[i]]
			a, err := recv(fd, about.port)
			unix.Close(fd)
			q.calls = slices.Delete(q.calls, i, i+1)
			q.about = slices.Delete(q.about, i, i+1)
			if err != nil {
				return err
			}
			if about.kind != greeted { // an older call may end differently
				*about = a
			}
		}
	}
	return nil
}

func (q *probe) close() {
	for _, c := range q.calls {
		unix.Close(int(c.Fd))
	}
}

// recv returns the answer that has arrived on a socket.
func recv(fd int, port knock.Port) (answer, error) {
	var text [256]byte
	n, err := unix.Read(fd, text[:])
	if errors.Is(err, unix.ECONNREFUSED) {
		return answer{refused, port, "refused, as by a closed port"}, nil
	}
	if err != nil {
		return answer{}, fmt.Errorf("port %s: %w", port, err)
	}
	return answer{greeted, port, fmt.Sprintf("%q", text[:n])}, nil
}

// call begins a TCP connection, or sends a datagram, and waits for nothing. It
// has to run on the thread of the host it calls from.
func call(from, to netip.Addr, port knock.Port) (fd int, err error) {
	domain, kind := unix.AF_INET, unix.SOCK_STREAM
	if from.Is6() {
		domain = unix.AF_INET6
	}
	if port.Proto == knock.UDP {
		kind = unix.SOCK_DGRAM
	}
	fd, err = unix.Socket(domain, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, sockaddr(from, 0))
	if err == nil {
		err = unix.Connect(fd, sockaddr(to, port.Number))
	}
	if err == nil && port.Proto == knock.UDP {
		_, err = unix.Write(fd, []byte{0})
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, fmt.Errorf("from %s to port %s of %s: %w", from, port, to, err)
	}
	return fd, nil
}

func sockaddr(addr netip.Addr, port uint16) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
	}
	return &unix.SockaddrInet6{Addr: addr.As16(), Port: int(port)}
}
