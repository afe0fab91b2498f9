package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// firstPatience is how long a port may take to answer after the first knock: a lost
// SYN is sent again after one second and after three (RFC 6298, section 2). It
// doubles with each knock.
const firstPatience = 5 * time.Second

// knockAndWait knocks, and waits for the target's port if it has one.
func knockAndWait(t *target, stderr *os.File, verbose io.Writer) error {
	if t.Wait != 0 {
		c, err := knockUntilAnswer(t, stderr, verbose)
		if err != nil {
			return err
		}
		return c.Close()
	}
	if t.retry > 0 {
		return errors.New("--retry needs a port whose answer tells: --wait PORT")
	}
	at, err := addresses(t)
	if err != nil {
		return err
	}
	return knockOnce(t, at, stderr, verbose)
}

// knockUntilAnswer knocks, and knocks again, until the port behind the door answers.
// It returns the connection.
func knockUntilAnswer(t *target, stderr *os.File, verbose io.Writer) (*net.TCPConn, error) {
	at, err := addresses(t)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		if err := knockOnce(t, at, stderr, verbose); err != nil {
			return nil, err
		}
		stop := showWaiting(stderr, fmt.Sprintf("waiting for port %d of %s", t.Wait, t.Host))
		c, err := dialAny(t, at, patience(t, try))
		stop()
		if err == nil {
			return c, nil
		}
		if try >= t.retry {
			return nil, fmt.Errorf("port %d of %s does not answer: %w", t.Wait, t.Host, err)
		}
	}
}

// patience is how long the port may take after the knock of a try, from 0. When that is
// over, and there is a next one, the daemon is not deaf any more either.
func patience(t *target, try int) time.Duration {
	p := firstPatience << min(try, 10)
	if try < t.retry {
		p += t.Mute
	}
	return p
}
