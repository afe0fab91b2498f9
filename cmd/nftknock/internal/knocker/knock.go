// Package knocker knocks, and waits until the port behind the door answers.
package knocker

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"nftknock/config/profile"
	"nftknock/knock"
)

// A Target is what to knock at, and how.
type Target struct {
	profile.Profile
	Verbose bool
	Retry   int
	Force   bool // knock even if the port answers
}

// A Knocker knocks at a target.
type Knocker struct {
	*Target
	Dial   Dial      // how the port behind the door is tried
	Stderr *os.File  // where it says what it waits for
	Notes  io.Writer // where it says what it does, if it is verbose
}

// say prints what the knocker does, if it is verbose.
func (k *Knocker) say(format string, args ...any) {
	if k.Verbose {
		fmt.Fprintf(k.Notes, format+"\n", args...)
	}
}

// knockAt knocks a sequence at each of the addresses, waiting after each knock. Of
// two families each is a source of its own to the daemon, so they go side by side.
func (k *Knocker) knockAt(at []netip.Addr, sequence []knock.Port) error {
	for i, port := range sequence {
		for _, a := range at {
			k.say("hitting %v %v:%d", port.Proto, a, port.Number)
			if err := hit(k.Source, a, port); err != nil {
				return fmt.Errorf("knock %d of %d could not be sent to %v: %w", i+1, len(sequence), a, err)
			}
		}
		time.Sleep(k.Delay)
	}
	return nil
}

// knockOnce knocks the whole sequence, with a one-time code if there is one, or sends a
// packet in its place. Of codes it may have to wait for the next one. If the door opens meanwhile, it returns the connection to the
// port behind it, and spends none.
func (k *Knocker) knockOnce(at []netip.Addr) (net.Conn, error) {
	switch {
	case k.SPAKeyFile != "":
		return nil, k.sendPackets(at)
	case k.OTPSecret == "":
		return nil, k.knockAt(at, k.Sequence)
	}
	now := time.Now()
	for wait := k.takeCode(now); wait > 0; wait = k.takeCode(now) {
		if conn := k.awaitCode(at, wait); conn != nil {
			return conn, nil
		}
		now = time.Now()
	}
	code, err := codeKnocks(k.Target, now)
	if err != nil {
		return nil, err
	}
	return nil, k.knockAt(at, slices.Concat(k.Sequence, code))
}

// awaitCode lets the time pass until there is another code. It returns a connection if
// the port behind the door answers before that.
func (k *Knocker) awaitCode(at []netip.Addr, wait time.Duration) net.Conn {
	what := fmt.Sprintf("waiting %v for the next one-time code, since this one was knocked already", wait.Round(time.Second))
	stop := showWaiting(k.Stderr, what, always)
	defer stop()
	if k.Wait == 0 || k.Force {
		time.Sleep(wait)
		return nil
	}
	conn, err := race(at, headStart, wait, k.dialStubbornly)
	if err != nil {
		return nil
	}
	return conn
}
