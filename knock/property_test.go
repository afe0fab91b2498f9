package knock

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model is the rules of doc.go in their own words. It keeps everything and
// looks at all of it.
type model struct {
	doors   []Door
	scan    Scan
	tries   []*try
	touches []touch
}

// A touch is of a decoy.
type touch struct {
	network netip.Prefix // who is muted
	at      time.Time
}

// A try is somebody's attempt at one sequence.
type try struct {
	sequenceOf
	counted   []Packet
	first     time.Time // when its first knock came
	succeeded time.Time // when its last knock came
	over      bool      // it failed, or the sequence succeeded again
}

type sequenceOf struct {
	source netip.Addr
	door   *Door
	action Action
}

// underWay reports whether the next knock can still count.
func (a *try) underWay(now time.Time) bool {
	return !a.over && a.succeeded.IsZero() && now.Sub(a.first) <= a.door.SeqTimeout
}

// remembered reports whether what has counted is ignored when it comes again.
func (a *try) remembered(now time.Time) bool {
	lately := !a.succeeded.IsZero() && now.Sub(a.succeeded) <= a.door.SeqTimeout
	return a.underWay(now) || lately && !a.over
}

func (m *model) observe(now time.Time, p Packet) []Event {
	muted := m.muted(now, p.Source)
	if slices.Contains(m.scan.Decoys, p.Port) && !m.inSequence(p.Port) {
		m.mute(now, p.Source)
		if muted {
			return nil
		}
		return []Event{{Action: Muted, Source: p.Source}}
	}
	if muted || m.isRetransmission(now, p) {
		return nil
	}
	var events []Event
	for i := range m.doors {
		for _, action := range []Action{Grant, Revoke} {
			if e := m.completes(now, p, sequenceOf{p.Source, &m.doors[i], action}); e.Action != 0 {
				events = append(events, e)
			}
		}
	}
	return events
}

// networkOf returns who is muted together.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	network, _ := a.Prefix(bits)
	return network
}

func (m *model) mute(now time.Time, source netip.Addr) {
	m.touches = append(m.touches, touch{networkOf(source), now})
	for _, a := range m.tries {
		if networkOf(a.source) == networkOf(source) && a.succeeded.IsZero() {
			a.over = true
		}
	}
}

func (m *model) muted(now time.Time, source netip.Addr) bool {
	return slices.ContainsFunc(m.touches, func(t touch) bool {
		return t.network.Contains(source) && now.Sub(t.at) <= m.scan.Mute
	})
}

func (m *model) inSequence(p Port) bool {
	return slices.ContainsFunc(m.doors, func(d Door) bool {
		return slices.Contains(slices.Concat(d.Sequence, d.CloseSequence, codePorts(&d)), p)
	})
}

// codePorts returns the ports that carry a door's codes.
func codePorts(d *Door) []Port {
	var ports []Port
	for i := range uint16(CodePorts) {
		if d.CodeBase != 0 {
			ports = append(ports, Port{d.CodeBase + i, TCP})
		}
	}
	return ports
}

// steps returns, for each knock for an action, the ports that are right.
func steps(d *Door, action Action) [][]Port {
	sequence := d.Sequence
	if action == Revoke {
		sequence = d.CloseSequence
	}
	var steps [][]Port
	for _, p := range sequence {
		steps = append(steps, []Port{p})
	}
	if ports := codePorts(d); action != Revoke && ports != nil {
		steps = append(steps, ports[:1000], ports[1000:])
	}
	return steps
}

func (m *model) isRetransmission(now time.Time, p Packet) bool {
	if p.Port.Proto != TCP {
		return false
	}
	return slices.ContainsFunc(m.tries, func(a *try) bool {
		return a.remembered(now) && slices.Contains(a.counted, p)
	})
}

// completes lets the packet count and returns what it brings about, if it was the last
// knock.
func (m *model) completes(now time.Time, p Packet, of sequenceOf) Event {
	steps := steps(of.door, of.action)
	if !slices.Contains(slices.Concat(steps...), p.Port) {
		return Event{} // any other port does not disturb it
	}

	var current *try
	for _, a := range m.tries {
		if a.sequenceOf == of && a.underWay(now) {
			current = a
		}
	}
	if current != nil && !slices.Contains(steps[len(current.counted)], p.Port) {
		current.over = true
		current = nil
	}
	if current == nil {
		if !slices.Contains(steps[0], p.Port) {
			return Event{}
		}
		current = &try{sequenceOf: of, first: now}
		m.tries = append(m.tries, current)
	}
	current.counted = append(current.counted, p)
	if len(current.counted) < len(steps) {
		return Event{}
	}

	for _, a := range m.tries {
		if a.sequenceOf == of && a != current {
			a.over = true
		}
	}
	current.succeeded = now
	e := Event{Action: of.action, Door: of.door, Source: p.Source}
	if of.action == Grant && of.door.CodeBase != 0 {
		e.Action = CheckCode
		half := func(p Packet) int { return int(p.Port.Number-of.door.CodeBase) % 1000 }
		e.Code = half(current.counted[len(steps)-2])*1000 + half(p)
	}
	return e
}

// Few ports are shared by few doors, so that sequences meet.
var (
	somePort  = rapid.SampledFrom(knocks("7001 7002 7003 7001:udp 7002:udp"))
	someDecoy = rapid.SampledFrom(knocks("7003 7004 7003:udp 40500"))
	someTime  = rapid.SampledFrom([]time.Duration{
		1 * time.Second, 1500 * time.Millisecond, 2 * time.Second, 5 * time.Second,
	})
	somePause = rapid.SampledFrom([]time.Duration{
		0, 0, 0, 0, 1, time.Millisecond, 500 * time.Millisecond,
		time.Second - 1, time.Second, time.Second + 1,
		2*time.Second - 1, 2*time.Second + 1, 5*time.Second + 1,
	})
	someDoor = rapid.Custom(func(t *rapid.T) Door {
		return Door{
			Sequence:      rapid.SliceOfN(somePort, 1, 4).Draw(t, "sequence"),
			CloseSequence: rapid.SliceOfN(somePort, 0, 4).Draw(t, "close sequence"),
			SeqTimeout:    someTime.Draw(t, "timeout"),
			CodeBase:      rapid.SampledFrom([]uint16{0, 0, 40000, 40700}).Draw(t, "code base"),
		}
	})
	someScan = rapid.Custom(func(t *rapid.T) Scan {
		return Scan{rapid.SliceOfN(someDecoy, 0, 3).Draw(t, "decoys"), someTime.Draw(t, "mute")}
	})
	someDoors = rapid.Custom(func(t *rapid.T) []Door {
		doors := rapid.SliceOfN(someDoor, 1, 3).Draw(t, "doors")
		for i := range doors {
			doors[i].Name = string(rune('a' + i))
		}
		return doors
	})
)

// anything lets anything happen: single packets, sequences knocked as they
// should be, and what was there before once more. After each observe is called.
func anything(t *rapid.T, doors []Door, sources byte, observe func(time.Time, Packet) []Event) {
	var sequences [][][]Port
	for i := range doors {
		for _, action := range []Action{Grant, Revoke} {
			if steps := steps(&doors[i], action); len(steps) > 0 {
				sequences = append(sequences, steps)
			}
		}
	}
	somePortOrDecoy := rapid.OneOf(somePort, somePort, somePort, someDecoy)
	somePacket := rapid.Custom(func(t *rapid.T) Packet {
		return Packet{
			Source:     someone(rapid.ByteRange(1, sources).Draw(t, "source")),
			SourcePort: rapid.Uint16Range(40000, 40001).Draw(t, "source port"),
			Port:       somePortOrDecoy.Draw(t, "port"),
			ISN:        rapid.Uint32Range(0, 2).Draw(t, "isn"),
		}
	})

	now := time.Now()
	var seen []Packet
	arrives := func(t *rapid.T, p Packet) {
		pause := somePause.Draw(t, "pause")
		now = now.Add(pause)
		seen = append(seen, p)
		events := observe(now, p)
		t.Logf("+%v %v %v#%d from %d: %v", pause, p.Source, p.Port, p.ISN, p.SourcePort, events)
	}
	t.Repeat(map[string]func(*rapid.T){
		"packet": func(t *rapid.T) {
			arrives(t, somePacket.Draw(t, "packet"))
		},
		"sequence": func(t *rapid.T) {
			p := somePacket.Draw(t, "first")
			for _, right := range rapid.SampledFrom(sequences).Draw(t, "sequence") {
				p.Port = rapid.SampledFrom(right).Draw(t, "port")
				arrives(t, p)
				p.ISN++
			}
		},
		"retransmission": func(t *rapid.T) {
			if len(seen) == 0 {
				t.Skip("of nothing")
			}
			arrives(t, rapid.SampledFrom(seen[max(0, len(seen)-8):]).Draw(t, "packet"))
		},
	})
}

// someone returns an address, of IPv4 if n is odd.
func someone(n byte) netip.Addr {
	if n%2 == 0 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: n})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, n})
}

func TestTrackerIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doors := someDoors.Draw(t, "doors")
		scan := someScan.Draw(t, "scan")
		tracker, model := NewTracker(doors, scan, 10_000), model{doors: doors, scan: scan}
		anything(t, doors, 3, func(now time.Time, p Packet) []Event {
			want, got := model.observe(now, p), tracker.Observe(now, p)
			diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}))
			if diff != "" {
				t.Fatalf("%v %v#%d from %d (-model +tracker):\n%s", p.Source, p.Port, p.ISN, p.SourcePort, diff)
			}
			return got
		})
	})
}

// Whatever arrives, memory stays bounded.
func TestTrackerIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doors := someDoors.Draw(t, "doors")
		tracker := NewTracker(doors, someScan.Draw(t, "scan"), rapid.IntRange(1, 8).Draw(t, "limit"))
		anything(t, doors, 100, func(now time.Time, p Packet) []Event {
			events := tracker.Observe(now, p)
			checkBounds(t, tracker)
			return events
		})
	})
}

// checkBounds looks into the tracker: every slot is either free or an attempt
// that is in the index and in the one list where it belongs.
func checkBounds(t *rapid.T, tracker *Tracker) {
	s := tracker.attempts
	if n := tracker.InProgress(); n > s.limit || n != s.index.len {
		t.Fatalf("%d attempts in progress, %d in the index, the limit is %d", n, s.index.len, s.limit)
	}
	room := len(s.chunks) * chunkLen
	if room >= s.limit+chunkLen || room != s.index.len+len(s.free) {
		t.Fatalf("room for %d attempts, %d are in use, %d are free, the limit is %d", room, s.index.len, len(s.free), s.limit)
	}

	found := make(map[int32]bool)
	for _, a := range s.free {
		if found[a] {
			t.Fatalf("slot %d is free twice", a)
		}
		found[a] = true
	}
	for _, list := range []*list{&s.begun, &s.further} {
		older := none
		for a := list.oldest; a != none; older, a = a, s.at(a).newer {
			if found[a] {
				t.Fatalf("slot %d is in use twice, or free", a)
			}
			found[a] = true
			attempt := s.at(a)
			knocks := int32(tracker.sequences[attempt.key.sequence].len())
			switch {
			case attempt.older != older:
				t.Fatalf("slot %d comes after %d, but says %d", a, older, attempt.older)
			case s.find(&attempt.key, s.index.hash(attempt.key)) != a:
				t.Fatalf("slot %d is not in the index", a)
			case attempt.step == 0 && attempt.succeeded == 0:
				t.Fatalf("slot %d is empty", a)
			case attempt.step < 0 || attempt.step >= knocks:
				t.Fatalf("slot %d has counted %d of %d knocks", a, attempt.step, knocks)
			case attempt.succeeded != 0 && attempt.succeeded != knocks:
				t.Fatalf("slot %d has succeeded with %d of %d knocks", a, attempt.succeeded, knocks)
			case s.listOf(a) != list:
				t.Fatalf("slot %d is in the wrong list", a)
			}
		}
		if list.newest != older {
			t.Fatalf("the newest slot is %d, but the list ends with %d", list.newest, older)
		}
	}
	if len(found) != room {
		t.Fatalf("%d slots are lost", room-len(found))
	}
}

// Nobody is let in or put out whose packets do not spell the sequence, also
// where attempts and what they counted were forgotten for want of room.
func TestTrackerIsJustified(t *testing.T) {
	type arrival struct {
		at     time.Time
		packet Packet
	}
	rapid.Check(t, func(t *rapid.T) {
		doors := someDoors.Draw(t, "doors")
		tracker := NewTracker(doors, someScan.Draw(t, "scan"), rapid.IntRange(1, 8).Draw(t, "limit"))
		var arrived []arrival
		anything(t, doors, 3, func(now time.Time, p Packet) []Event {
			arrived = append(arrived, arrival{now, p})
			events := tracker.Observe(now, p)
			for _, e := range events {
				if e.Action == Muted {
					continue
				}
				var lately []Packet
				for _, a := range arrived {
					if a.packet.Source == e.Source && now.Sub(a.at) <= e.Door.SeqTimeout {
						lately = append(lately, a.packet)
					}
				}
				if !spells(lately, steps(e.Door, e.Action)) {
					t.Fatalf("%v after %v", e, lately)
				}
			}
			return events
		})
	})
}

// spells reports whether the sequence is a subsequence of the packets and ends
// with the last of them. A SYN is one knock, however often it is there.
func spells(packets []Packet, sequence [][]Port) bool {
	last := len(packets) - 1
	if last < 0 || !slices.Contains(sequence[len(sequence)-1], packets[last].Port) {
		return false
	}
	var spelled func(packets []Packet, sequence [][]Port, counted []Packet) bool
	spelled = func(packets []Packet, sequence [][]Port, counted []Packet) bool {
		if len(sequence) == 0 {
			return true
		}
		end := len(sequence) - 1
		for i, p := range slices.Backward(packets) {
			if !slices.Contains(sequence[end], p.Port) || p.Port.Proto == TCP && slices.Contains(counted, p) {
				continue
			}
			if spelled(packets[:i], sequence[:end], append(slices.Clip(counted), p)) {
				return true
			}
		}
		return false
	}
	return spelled(packets[:last], sequence[:len(sequence)-1], packets[last:])
}
