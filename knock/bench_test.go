package knock

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// benchLimit is as many attempts as the daemon remembers by default.
const benchLimit = 262144

// BenchmarkObserve is the cost of a packet.
func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		doors := benchDoors(n)
		b.Run(fmt.Sprintf("stream=knocks/doors=%d", n), func(b *testing.B) { benchKnocks(b, doors) })
		b.Run(fmt.Sprintf("stream=flood/doors=%d", n), func(b *testing.B) { benchFlood(b, doors, nil) })
	}
	// A flood on a decoy mutes all of its sources.
	b.Run("stream=decoy/doors=1", func(b *testing.B) { benchFlood(b, benchDoors(1), &Port{65535, TCP}) })
}

// benchDoors returns n doors with three knocks each at ports of their own.
func benchDoors(n int) []Door {
	doors := make([]Door, n)
	for i := range doors {
		port := 3*i + 1
		doors[i] = door(fmt.Sprintf("d%d", i), fmt.Sprintf("%d %d %d", port, port+1, port+2), "")
	}
	return doors
}

// benchKnocks has one source after the other knock at one door after the
// other, a packet a millisecond: new attempts begin as fast as others end.
func benchKnocks(b *testing.B, doors []Door) {
	const sources = 65536
	tracker := NewTracker(doors, Scan{}, benchLimit)
	now := time.Now()
	n, completed := 0, 0
	knock := func() {
		who := n / 3
		now = now.Add(time.Millisecond)
		completed += len(tracker.Observe(now, Packet{
			Source:     addr4(uint32(who % sources)),
			SourcePort: 40000,
			Port:       doors[who%len(doors)].Sequence[n%3],
			ISN:        uint32(n),
		}))
		n++
	}
	for range 3 * sources {
		knock()
	}

	b.ReportAllocs()
	for b.Loop() {
		knock()
	}
	if completed != n/3 {
		b.Fatalf("%d packets completed %d sequences", n, completed)
	}
}

// benchFlood has spoofed sources knock at first ports, or at a decoy, with no room for any
// that nobody has to leave for it.
func benchFlood(b *testing.B, doors []Door, decoy *Port) {
	scan := Scan{Mute: time.Minute}
	remembered := func(t *Tracker) int { return t.attempts.len() }
	port := func(r uint64) Port { return doors[r%uint64(len(doors))].Sequence[0] }
	if decoy != nil {
		scan.Decoys = []Port{*decoy}
		remembered = func(t *Tracker) int { return t.muted.sources.len() }
		port = func(uint64) Port { return *decoy }
	}
	tracker := NewTracker(doors, scan, benchLimit)
	now := time.Now()
	random := rand.NewPCG(1, 2)
	spoof := func() {
		r := random.Uint64()
		now = now.Add(time.Microsecond)
		tracker.Observe(now, Packet{
			Source:     addr4(uint32(r)),
			SourcePort: uint16(r >> 32),
			Port:       port(r >> 48),
			ISN:        uint32(r >> 16),
		})
	}
	for remembered(tracker) < benchLimit {
		spoof()
	}

	b.ReportAllocs()
	for b.Loop() {
		spoof()
	}
	if got := remembered(tracker); got != benchLimit {
		b.Fatalf("%d are remembered, want %d", got, benchLimit)
	}
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
