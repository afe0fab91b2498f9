package knock

import (
	"fmt"
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
	now     time.Time // of the latest packet
	tries   []*try
	touches []touch
}

// A touch is of a decoy.
type touch struct {
	source netip.Addr
	at     time.Time
}

// A try is somebody's attempt at one sequence.
type try struct {
	sequenceOf
	counted  []Packet
	since    time.Time // when its first knock came; once complete, when its last did
	complete bool
	over     bool // it failed, or had to make room
}

type sequenceOf struct {
	source netip.Addr
	door   *Door
	action Action
}

func (m *model) observe(at time.Time, p Packet) []Event {
	if at.After(m.now) {
		m.now = at
	}
	muted := m.muted(p.Source)
	if slices.Contains(m.scan.Decoys, p.Port) && !m.inSequence(p.Port) {
		m.mute(p.Source)
		if muted {
			return nil
		}
		return []Event{{Action: Muted, Source: p.Source}}
	}
	if muted || m.isRetransmission(p) {
		return nil
	}
	var events []Event
	for i := range m.doors {
		opening := false
		for _, action := range []Action{Grant, Revoke} {
			if opening {
				continue // a knock that advances an opening does not count for the closing
			}
			e, advanced := m.completes(at, p, sequenceOf{p.Source, &m.doors[i], action})
			if e.Action != 0 {
				events = append(events, e)
			}
			opening = advanced
		}
	}
	return events
}

func (m *model) mute(source netip.Addr) {
	m.touches = append(m.touches, touch{source, m.now})
	for _, a := range m.tries {
		if m.mutes(source, a.source) && !a.complete {
			a.over = true
		}
	}
}

// mutes reports whether another source is muted when this one is.
func (m *model) mutes(source, other netip.Addr) bool {
	if source.Is4() || other.Is4() {
		return source == other
	}
	network, _ := source.WithZone("").Prefix(64)
	return network.Contains(other.WithZone("")) && source.Zone() == other.Zone()
}

func (m *model) muted(source netip.Addr) bool {
	return slices.ContainsFunc(m.touches, func(t touch) bool {
		return m.mutes(t.source, source) && m.now.Sub(t.at) <= m.scan.Mute
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

// tried returns the attempts at a sequence that are remembered, the youngest first.
func (m *model) tried(of sequenceOf, complete bool) []*try {
	var tried []*try
	for _, a := range slices.Backward(m.tries) {
		// A knock from before the source was muted may come late, after that is over.
		before := !complete && slices.ContainsFunc(m.touches, func(t touch) bool {
			return m.mutes(t.source, a.source) && !a.since.After(t.at)
		})
		if a.sequenceOf == of && a.complete == complete && !a.over && !before && m.now.Sub(a.since) <= a.door.SeqTimeout {
			tried = append(tried, a)
		}
	}
	return tried
}

func (m *model) isRetransmission(p Packet) bool {
	if p.Port.Proto != TCP {
		return false
	}
	for _, a := range m.tries {
		remembered := slices.Concat(m.tried(a.sequenceOf, false), m.tried(a.sequenceOf, true))
		if slices.Contains(a.counted, p) && slices.Contains(remembered, a) {
			return true
		}
	}
	return false
}

// completes lets the packet count and returns what it brings about, if it was the last
// knock, and whether it has advanced an attempt that was begun before.
func (m *model) completes(at time.Time, p Packet, of sequenceOf) (e Event, advanced bool) {
	steps := steps(of.door, of.action)
	if !slices.Contains(slices.Concat(steps...), p.Port) {
		return Event{}, false // any other port does not disturb it
	}

	var current *try
	for _, a := range m.tried(of, false) {
		waits := slices.Contains(steps[len(a.counted)], p.Port)
		if waits && (current == nil || len(a.counted) > len(current.counted)) {
			current = a
		}
	}
	advanced = current != nil
	if !advanced {
		if !slices.Contains(steps[0], p.Port) {
			for _, a := range m.tried(of, false) {
				a.over = true
			}
			return Event{}, false
		}
		if others := m.tried(of, false); len(others) == MaxParallel {
			others[MaxParallel-1].over = true
		}
		current = &try{sequenceOf: of, since: at}
		m.tries = append(m.tries, current)
	}
	current.counted = append(current.counted, p)
	if at.Before(current.since) {
		current.since = at
	}
	if len(current.counted) < len(steps) || m.now.Sub(current.since) > of.door.SeqTimeout {
		return Event{}, advanced
	}

	if others := m.tried(of, true); len(others) == MaxParallel {
		others[MaxParallel-1].over = true
	}
	current.complete, current.since = true, m.now
	e = Event{Action: of.action, Door: of.door, Source: p.Source}
	if of.action == Grant && of.door.CodeBase != 0 {
		e.Action = CheckCode
		half := func(p Packet) int { return int(p.Port.Number-of.door.CodeBase) % 1000 }
		e.Code = half(current.counted[len(steps)-2])*1000 + half(p)
	}
	return e, advanced
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
	someDelay = rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, 0, 1, time.Millisecond, time.Second, 3 * time.Second})
	someDoor  = rapid.Custom(func(t *rapid.T) Door {
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
		late := someDelay.Draw(t, "delay")
		now = now.Add(pause)
		seen = append(seen, p)
		events := observe(now.Add(-late), p)
		t.Logf("+%v -%v %v %v#%d from %d: %v", pause, late, p.Source, p.Port, p.ISN, p.SourcePort, events)
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

// someone returns an address, of IPv4 if n is odd, of two links if n is divisible by four.
func someone(n byte) netip.Addr {
	if n%4 == 0 {
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1}).WithZone(fmt.Sprint("eth", n))
	}
	if n%2 == 0 {
		return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: n})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, n})
}

func TestTrackerIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doors := someDoors.Draw(t, "doors")
		scan := someScan.Draw(t, "scan")
		tracker := NewTracker(doors, scan, 10_000)
		model := model{doors: doors, scan: scan, now: tracker.epoch}
		anything(t, doors, 8, func(now time.Time, p Packet) []Event {
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
	if n := tracker.attempts.len(); n > s.limit {
		t.Fatalf("%d attempts in progress, the limit is %d", n, s.limit)
	}
	room := len(s.chunks) * chunkLen
	if room >= s.limit+chunkLen {
		t.Fatalf("room for %d attempts, the limit is %d", room, s.limit)
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
			case !slices.Contains(chainOf(s, a), a):
				t.Fatalf("slot %d is not in the index", a)
			case attempt.step < 1 || attempt.step > knocks || attempt.complete != (attempt.step == knocks):
				t.Fatalf("slot %d has counted %d of %d knocks, complete: %v", a, attempt.step, knocks, attempt.complete)
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
	chains := 0
	for _, list := range []*list{&s.begun, &s.further} {
		for a := list.oldest; a != none; a = s.at(a).newer {
			if s.at(a).junior == none {
				chains++
			}
		}
	}
	if chains != s.index.len {
		t.Fatalf("%d in the index, %d chains", s.index.len, chains)
	}
}

// chainOf returns the attempts of the chain of one of them, as the index has it.
func chainOf(s *attempts, a int32) []int32 {
	k, junior := s.at(a).key, none
	var chain []int32
	for a := s.find(&k, s.index.hash(k)); a != none; a = s.at(a).elder {
		if s.at(a).junior != junior || s.at(a).key != k || len(chain) > 2*MaxParallel {
			return nil
		}
		chain, junior = append(chain, a), a
	}
	return chain
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
