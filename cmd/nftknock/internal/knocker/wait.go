package knocker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	// firstTimeout is how long a port may take to answer after the first knock: a lost
	// SYN is sent again after one second and after three (RFC 6298, section 2). It
	// doubles with each knock, up to maxTimeout.
	firstTimeout = 5 * time.Second
	maxTimeout   = 80 * time.Second

	// openTimeout is how long a port may take to answer before the first knock. A door that is
	// shut does not answer, so each first knock waits for this.
	openTimeout = 250 * time.Millisecond

	// codeTimeout is that before a code is spent: a lost SYN has been sent again.
	codeTimeout = 1500 * time.Millisecond
)

// Run knocks, and waits for the target's port if it has one.
func (k *Knocker) Run() error {
	if k.Wait != 0 {
		conn, err := k.UntilAnswer()
		if err == nil {
			conn.Close() // it may be closed already
		}
		return err
	}
	if k.Retry > 0 {
		return errors.New("--retry needs a port whose answer tells: --wait PORT")
	}
	groups, err := addresses(k.Target)
	if err != nil {
		return err
	}
	defer k.lockHost()()
	_, err = k.knockOnce(groups[0])
	return err
}

// UntilAnswer knocks, and knocks again, until the port behind the door answers.
// It returns the connection.
func (k *Knocker) UntilAnswer() (net.Conn, error) {
	groups, err := addresses(k.Target)
	if err != nil {
		return nil, err
	}
	defer k.lockHost()()
	for try := 0; ; try++ {
		for i, at := range groups {
			last := i == len(groups)-1
			conn, err := k.open(at, try, timeoutOf(k.Target, try, last))
			if err == nil || conn != nil {
				return conn, err
			}
			var silent *noAnswer
			if last && (try >= k.Retry || !errors.As(err, &silent)) {
				return nil, err
			}
			k.say("%v", err)
		}
	}
}

// open makes the port answer at one of the addresses, with a knock if it needs one.
func (k *Knocker) open(at []netip.Addr, try int, timeout time.Duration) (net.Conn, error) {
	if try == 0 && !k.Force {
		if conn := k.openAlready(at); conn != nil {
			return conn, nil
		}
	}
	conn, err := k.knockOnce(at)
	if conn != nil || err != nil {
		return conn, err
	}
	what := fmt.Sprintf("waiting for port %d of %s", k.Wait, k.Host)
	k.say("%s, up to %v", what, timeout.Round(time.Second))
	stop := showWaiting(k.Stderr, what, onTerminal)
	conn, err = race(at, headStart, timeout, k.dialStubbornly)
	stop()
	if err != nil {
		return nil, &noAnswer{k.Wait, k.Host, err}
	}
	return conn, nil
}

// openAlready returns a connection if the port answers without a knock.
func (k *Knocker) openAlready(at []netip.Addr) net.Conn {
	timeout := openTimeout
	if k.OTPSecret != "" {
		timeout = codeTimeout
	}
	k.say("trying whether port %d of %s is open, for %v", k.Wait, k.Host, timeout)
	conn, err := race(at, 0, timeout, k.dialOnce)
	if err != nil {
		return nil
	}
	k.say("it is: no knock is needed")
	return conn
}

// A noAnswer is a port that has not answered after a knock.
type noAnswer struct {
	port uint16
	host string
	why  error
}

func (e *noAnswer) Error() string {
	return fmt.Sprintf("port %d of %s does not answer: %v", e.port, e.host, e.why)
}

func (e *noAnswer) Unwrap() error { return e.why }

// timeoutOf is how long the port may take after the knock of a try, from 0. When that is
// over, and there is a next one, the daemon listens again; and programs that
// have knocked together, and spoilt it for each other, are not together any more.
func timeoutOf(t *Target, try int, last bool) time.Duration {
	p := min(firstTimeout<<min(try, 10), maxTimeout)
	if last && try < t.Retry {
		p += t.Mute + rand.N(p/2)
	}
	return p
}
