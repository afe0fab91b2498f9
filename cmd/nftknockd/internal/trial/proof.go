package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A Countdown shows how a trial goes on.
type Countdown interface {
	Begin(*config.Config, time.Duration)
	Left(time.Duration)
	Knocked(event.Event) // somebody was granted, by a knock or a packet
	End()
}

// pollTrial is how often a trial looks for connections.
const pollTrial = 250 * time.Millisecond

// awaitProof waits until a whole knock has let somebody in, and a connection has come in
// through that door since. Either alone proves little: the knock may come from another
// address than the connection will, and a connection may come in where nothing is guarded.
// The countdown begins when it looks: what comes after that is seen.
func awaitProof(ctx context.Context, g *gate.Gate, grants *event.Subscription, length time.Duration, show Countdown) (event.Event, error) {
	seen := newSightings(g)
	before, err := accepted(g) // what the doors had let in when there was no word of a knock yet
	if err != nil {
		return event.Event{}, fmt.Errorf("cannot see who comes in: %w", err)
	}
	show.Begin(g.Config(), length)
	knocked := make(map[string]event.Event)
	from := make(map[string]uint64) // what a door had let in before it was knocked at
	for end := time.Now().Add(length); ; {
		now, err := accepted(g)
		if err != nil {
			return event.Event{}, fmt.Errorf("cannot see who comes in: %w", err)
		}
		soon, cancel := context.WithTimeout(ctx, pollTrial)
		e, err := grants.Next(soon)
		cancel()
		if err == nil && e.By != event.ByAdmin {
			if _, again := knocked[e.Door]; !again {
				from[e.Door] = before[e.Door]
			}
			knocked[e.Door] = e
			show.Knocked(e)
		} else if err != nil {
			before = now // of a knock that is told later, the connection may be in now already
		}
		for door, e := range knocked {
			if now[door] > from[door] || seen.trigger(door) {
				return e, nil
			}
		}
		seen.look(g)
		switch left := time.Until(end); {
		case ctx.Err() != nil:
			return e, errors.New("interrupted")
		case left <= 0:
			return e, seen.failure(knocked)
		case !g.Works():
			return e, errors.New("the gate does not work: see its log")
		default:
			show.Left(left)
		}
	}
}

// accepted returns how much each door has let in.
func accepted(g *gate.Gate) (map[string]uint64, error) {
	snapshot, err := g.Inspect()
	if err != nil {
		return nil, err
	}
	counts := make(map[string]uint64)
	for _, name := range snapshot.Doors {
		counts[name] = status.DoorOf(snapshot, name).Granted
	}
	return counts, nil
}

// sightings are what a trial has seen, to explain why it failed.
type sightings struct {
	cfg        *config.Config
	inProgress int             // attempts that had begun before
	known      map[string]bool // connections that were up before, or are let in
	looked     time.Time

	heard   bool   // a knock, at least
	strange string // a connection that nobody has let in
}

func newSightings(g *gate.Gate) *sightings {
	s := &sightings{cfg: g.Config(), inProgress: g.InProgress()}
	s.known = toGuarded(s.cfg)
	return s
}

// trigger reports whether a door has no ports for a connection to come to.
func (s *sightings) trigger(door string) bool {
	d, err := s.cfg.Door(door)
	return err == nil && len(d.Ports) == 0
}

// look looks around, once a second: a host may have very many connections.
func (s *sightings) look(g *gate.Gate) {
	if time.Since(s.looked) < time.Second {
		return
	}
	s.looked = time.Now()
	s.heard = s.heard || g.InProgress() > s.inProgress
	var fresh []string
	for c := range toGuarded(s.cfg) {
		if !s.known[c] {
			fresh = append(fresh, c)
		}
	}
	if len(fresh) == 0 || s.strange != "" {
		return
	}
	snapshot, err := g.Inspect()
	if err != nil {
		return
	}
	for _, c := range fresh {
		if s.letIn(c, snapshot) {
			s.known[c] = true
		} else {
			s.strange = c
		}
	}
}

// letIn reports whether the source of a connection is let in by a door, or always.
func (s *sightings) letIn(connection string, snapshot *nft.Snapshot) bool {
	text, _, _ := strings.Cut(connection, " ")
	address, err := netip.ParseAddrPort(text)
	if err != nil {
		return true
	}
	within := func(p netip.Prefix) bool { return p.Contains(address.Addr()) }
	return slices.ContainsFunc(s.cfg.AlwaysAllow, within) ||
		slices.ContainsFunc(snapshot.Grants, func(p nft.Grant) bool { return within(p.Source) })
}

// failure says what was seen instead of a proof.
func (s *sightings) failure(knocked map[string]event.Event) error {
	text := "no knock was heard: was it sent to this host, and on a guarded interface?"
	switch {
	case len(knocked) > 0:
		for door, e := range knocked {
			if d, err := s.cfg.Door(door); err == nil {
				text = fmt.Sprintf("%s was let in through door %s, and no new connection came to %s", e.Source, door,
					knock.PortList(d.Ports))
			}
		}
	case s.heard:
		text = "knocks were heard, and nobody has knocked a whole sequence"
	}
	if s.strange != "" {
		source, port, _ := strings.Cut(s.strange, " ")
		if a, err := netip.ParseAddrPort(source); err == nil {
			source = a.Addr().String()
		}
		text += fmt.Sprintf("; %s has connected to port %s without being let in: its interface is not guarded", source, port)
	}
	for _, w := range s.cfg.InterfaceWarningsHere() {
		text += "; " + w
	}
	return errors.New(text)
}

// toGuarded returns the connections to guarded ports of this host, "ADDRESS:PORT of the
// source, a blank, and the guarded port", but for those from the host itself.
func toGuarded(cfg *config.Config) map[string]bool {
	guarded := make(map[uint16]bool)
	for _, d := range cfg.Doors {
		for _, p := range d.Ports {
			if p.Proto == knock.TCP {
				guarded[p.Number] = true
			}
		}
	}
	found := make(map[string]bool)
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} { // proc_pid_net(5)
		data, _ := os.ReadFile(file)
		for line := range bytes.Lines(data) {
			fields := strings.Fields(string(line))
			// States of net/tcp_states.h: SYN_SENT, SYN_RECV, CLOSE and LISTEN are no connection that
			// has come, and one that has come may be over when it is looked at.
			if len(fields) < 4 || slices.Contains([]string{"st", "02", "03", "07", "0A", "0C"}, fields[3]) {
				continue
			}
			local, ok1 := hexAddrPort(fields[1])
			remote, ok2 := hexAddrPort(fields[2])
			if ok1 && ok2 && guarded[local.Port()] && !remote.Addr().IsLoopback() && local.Addr() != remote.Addr() {
				found[remote.String()+" "+strconv.Itoa(int(local.Port()))] = true
			}
		}
	}
	return found
}

// hexAddrPort reads "0100007F:0016": words of four bytes in the order of the host, which
// is little-endian wherever this matters, and a port.
func hexAddrPort(s string) (netip.AddrPort, bool) {
	text, port, _ := strings.Cut(s, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil || len(text) != 8 && len(text) != 32 {
		return netip.AddrPort{}, false
	}
	raw := make([]byte, len(text)/2)
	for i := range raw {
		b, err := strconv.ParseUint(text[2*i:2*i+2], 16, 8)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw[i&^3+3-i&3] = byte(b)
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), true
}
