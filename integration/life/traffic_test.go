package life

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nftknock/integration/lab"
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
	strangers                        // never even knock
	others
)

// peopleOfAKind is how many there are of each.
const peopleOfAKind = 4

// somebody returns the address of one of a kind.
func somebody(f lab.Family, kind, n int) netip.Addr { return f.Addr(2, byte(kind+n), 1) }

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

// A source knocks the same knocks over and over.
type source struct {
	from   netip.Addr
	knocks []string
	next   int
}

// traffic are sources that knock all the time, in a random order among them.
type traffic struct {
	stop     chan struct{}
	finished chan struct{}
	sent     int
	err      error
}

// startTraffic begins to send that many knocks a second.
func startTraffic(t *testing.T, s *lab.Topology, rate int) *traffic {
	t.Helper()
	var everybody []*source
	add := func(kind int, knocks ...[]string) {
		for n := range peopleOfAKind {
			everybody = append(everybody, &source{from: somebody(s.Family, kind, n), knocks: slices.Concat(knocks...)})
		}
	}
	add(regulars, lab.SSHSequence)
	add(hasty, briefSequence)
	add(waverers, studySequence, studyCloseSequence)
	add(bunglers, lab.SSHSequence[:2], briefSequence[1:])

	v := &traffic{stop: make(chan struct{}), finished: make(chan struct{})}
	go func() {
		defer close(v.finished)
		v.err = s.Client.In(func() error { return v.knock(everybody, s.Addr, rate) })
	}()
	t.Cleanup(func() { v.end() })
	return v
}

func (v *traffic) knock(everybody []*source, to netip.Addr, rate int) error {
	if err := lab.StayOnProcessor(); err != nil {
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
		p, err := lab.ParseKnock(who.from, to, who.knocks[who.next])
		if err == nil {
			err = p.Send()
		}
		if err != nil {
			return fmt.Errorf("knocking from %v: %w", who.from, err)
		}
		who.next = (who.next + 1) % len(who.knocks)
		v.sent++
	}
}

func (v *traffic) end() {
	select {
	case <-v.stop:
		return
	default:
	}
	close(v.stop)
	<-v.finished
}

// finish ends the knocking, and makes sure that it went well.
func (v *traffic) finish(t *testing.T) {
	t.Helper()
	v.end()
	if v.err == nil && v.sent == 0 {
		v.err = errors.New("nobody has knocked: the test proves nothing")
	}
	if v.err != nil {
		t.Errorf("traffic: %v", v.err)
	}
	t.Logf("traffic: %d knocks", v.sent)
}

// moveIn has residents knock, and returns when they are in.
func moveIn(t *testing.T, s *lab.Topology) {
	t.Helper()
	for n := range peopleOfAKind {
		resident, network := somebody(s.Family, residents, n), somebody(s.Family, networks, n)
		s.Knock(t, resident, lab.SSHSequence...)
		s.Knock(t, network, wideSequence...)
		s.WaitIn(t, "ssh", resident)
		s.WaitIn(t, "wide", network)
	}
}
