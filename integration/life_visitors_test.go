package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Kinds of people. Each of them has a subnet of net 2 to themself, as the gate counts
// IPv6's together when it looks for those who are too loud; a kind is its first.
const (
	residents = iota * peopleOfAKind // let in once, and heard of no more
	networks                         // residents of the wide door
	regulars                         // let themselves in again and again
	hasty                            // regulars of the brief door
	waverers                         // let themselves in and put themselves out, in turns
	bunglers                         // never get it right
	intruders                        // never even knock
	others
)

// peopleOfAKind is how many there are of each.
const peopleOfAKind = 4

// somebody returns the address of one of a kind.
func (f family) somebody(kind, n int) netip.Addr { return f.addr(2, byte(kind+n), 1) }

// kindOf returns of what kind an address is, or a network.
func kindOf(who netip.Prefix) int {
	b := who.Addr().AsSlice()
	net, sub := b[1], b[2] // see family.addr
	if who.Addr().Is6() {
		net, sub = b[3], b[7]
	}
	if net != 2 {
		return others
	}
	return min(int(sub)/peopleOfAKind*peopleOfAKind, others)
}

// A visitor knocks the same knocks over and over.
type visitor struct {
	from   netip.Addr
	knocks []string
	next   int
}

// visitors are sources that knock all the time, in a random order among them.
type visitors struct {
	stop     chan struct{}
	finished chan struct{}
	sent     int
	err      error
}

// startVisitors begins to send that many knocks a second.
func startVisitors(t *testing.T, s *site, rate int) *visitors {
	t.Helper()
	var everybody []*visitor
	add := func(kind int, knocks ...[]string) {
		for n := range peopleOfAKind {
			everybody = append(everybody, &visitor{from: s.family.somebody(kind, n), knocks: slices.Concat(knocks...)})
		}
	}
	add(regulars, sshSequence)
	add(hasty, briefSequence)
	add(waverers, studySequence, studyCloseSequence)
	add(bunglers, sshSequence[:2], briefSequence[1:])

	v := &visitors{stop: make(chan struct{}), finished: make(chan struct{})}
	go func() {
		defer close(v.finished)
		v.err = s.client.in(func() error { return v.knock(everybody, s.addr, rate) })
	}()
	t.Cleanup(func() { v.end() })
	return v
}

func (v *visitors) knock(everybody []*visitor, to netip.Addr, rate int) error {
	if err := stayOnProcessor(); err != nil {
		return err
	}
	pause := time.NewTicker(time.Second / time.Duration(rate))
	defer pause.Stop()
	for {
		select {
		case <-v.stop:
			return nil
		case <-pause.C:
		}
		who := everybody[rand.IntN(len(everybody))]
		p, err := parseKnock(who.from, to, who.knocks[who.next])
		if err == nil {
			err = p.send()
		}
		if err != nil {
			return fmt.Errorf("knocking from %v: %w", who.from, err)
		}
		who.next = (who.next + 1) % len(who.knocks)
		v.sent++
	}
}

func (v *visitors) end() {
	select {
	case <-v.stop:
		return
	default:
	}
	close(v.stop)
	<-v.finished
}

// leave ends the knocking, and makes sure that it went well.
func (v *visitors) leave(t *testing.T) {
	t.Helper()
	v.end()
	if v.err == nil && v.sent == 0 {
		v.err = errors.New("nobody has knocked: the test proves nothing")
	}
	if v.err != nil {
		t.Errorf("visitors: %v", v.err)
	}
	t.Logf("visitors: %d knocks", v.sent)
}

// moveIn has residents knock, and returns when they are in.
func (s *site) moveIn(t *testing.T) {
	t.Helper()
	for n := range peopleOfAKind {
		resident, network := s.family.somebody(residents, n), s.family.somebody(networks, n)
		s.knock(t, resident, sshSequence...)
		s.knock(t, network, wideSequence...)
		s.waitIn(t, "ssh", resident)
		s.waitIn(t, "wide", network)
	}
}
