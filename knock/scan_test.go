package knock

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A knocker knocks at a tracker, each knock a new SYN.
type knocker struct {
	t       *testing.T
	tracker *Tracker
	now     time.Time
	isn     uint32
}

// knock lets a source knock ports, and returns the events of the last one.
func (k *knocker) knock(source, ports string) []Event {
	var events []Event
	for _, p := range knocks(ports) {
		k.isn++
		events = k.tracker.Observe(k.now, Packet{Source: netip.MustParseAddr(source), SourcePort: 40000, Port: p, ISN: k.isn})
	}
	return events
}

// expect has the last of the knocks bring about an action, or nothing if it is 0.
func (k *knocker) expect(source, ports string, action Action) Event {
	k.t.Helper()
	events := k.knock(source, ports)
	switch {
	case len(events) == 0 && action == 0:
		return Event{}
	case len(events) == 1 && events[0].Action == action:
		return events[0]
	}
	k.t.Fatalf("%s from %s: %v, want %v", ports, source, events, action)
	return Event{}
}

// muted says who is muted, and for how long.
func (k *knocker) muted() string {
	var all []string
	sources, _ := k.tracker.MutedSources(k.now, 10)
	for _, s := range sources {
		all = append(all, fmt.Sprintf("%v for %v", s.Prefix, s.Until.Sub(k.now)))
	}
	return strings.Join(all, ", ")
}

func newKnocker(t *testing.T, d Door) *knocker {
	scan := Scan{Decoys: knocks("7500 9500:udp"), Mute: time.Minute}
	return &knocker{t: t, tracker: NewTracker([]Door{d}, scan, 100), now: time.Now()}
}

func TestDecoyMutes(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", "8000 7000"))
	k.expect("192.0.2.1", "7000", 0)
	k.expect("192.0.2.1", "7500", Muted)
	k.expect("192.0.2.1", "8000", 0)
	k.expect("192.0.2.1", "7000 8000", 0)
	k.expect("192.0.2.2", "7000 8000", Grant) // others are not

	k.now = k.now.Add(40 * time.Second)
	k.expect("192.0.2.1", "9500:udp", 0) // renews it
	k.now = k.now.Add(40 * time.Second)
	k.expect("192.0.2.1", "7000 8000", 0)
	k.now = k.now.Add(20*time.Second + 1)
	k.expect("192.0.2.1", "7000 8000", Grant)
	k.expect("192.0.2.1", "7500", Muted)
	if got := k.muted(); got != "192.0.2.1/32 for 1m0s" {
		t.Errorf("muted: %s", got)
	}
}

// What was begun before a mute is over, also when the mute is shorter than the time for
// the sequence.
func TestDecoyResets(t *testing.T) {
	d := door("ssh", "7000 8000", "")
	d.SeqTimeout = time.Hour
	k := newKnocker(t, d)
	k.expect("192.0.2.1", "7000 7500", Muted)
	k.now = k.now.Add(time.Minute + 1)
	k.expect("192.0.2.1", "8000", 0)
	k.expect("192.0.2.1", "7000 8000", Grant)
}

func TestDecoyMutesNetwork(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	k.expect("2001:db8:0:1::1", "7500", Muted)
	k.expect("2001:db8:0:1::2", "7000 8000", 0)
	k.expect("2001:db8:0:1::2", "7500", 0)
	k.expect("2001:db8:0:2::1", "7000 8000", Grant)
}

// Sixteen networks of a site mute the site.
func TestMuteClimbs(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	for n := range MutedNetworks {
		k.expect("2001:db8:1:ffff::1", "7000 8000", Grant)
		k.expect(fmt.Sprintf("2001:db8:1:%x::1", n), "7500", Muted)
		k.expect(fmt.Sprintf("2001:db8:1:%x::1", n), "7500", 0)
		k.now = k.now.Add(time.Second)
	}
	k.expect("2001:db8:1:ffff::1", "7000 8000", 0)
	k.expect("2001:db8:1:ffff::1", "7500", 0)
	k.expect("2001:db8:2:ffff::1", "7000 8000", Grant)
	if got, n := k.muted(), k.tracker.muted.sources.len(); got != "2001:db8:1::/48 for 1m0s" || n != 1 {
		t.Errorf("muted: %s; %d are remembered, want one", got, n)
	}
	k.now = k.now.Add(59 * time.Second) // the last touch has renewed it
	k.expect("2001:db8:1::1", "7000 8000", 0)
	k.now = k.now.Add(time.Second + 1)
	k.expect("2001:db8:1::1", "7000 8000", Grant)

	for n := range 2 * MutedNetworks { // strangers
		k.expect(fmt.Sprintf("192.0.2.%d", n+1), "7500", Muted)
	}
	k.expect("192.0.2.200", "7000 8000", Grant)
}

// Those that were muted too long ago do not count, and what was muted at once is ended at
// once.
func TestMuteClimbsNoFurther(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	for n := range 4 * MutedNetworks {
		k.expect(fmt.Sprintf("2001:db8:1:%x::1", n), "7500", Muted)
		k.now = k.now.Add(5 * time.Second) // twelve or thirteen at a time
	}
	k.expect("2001:db8:1:ffff::1", "7000 8000", Grant)
	for n := range MutedNetworks {
		k.knock(fmt.Sprintf("2001:db8:1:%x::1", n), "7500")
	}
	k.expect("2001:db8:1:ffff::1", "7000 8000", 0)
	k.tracker = k.tracker.WithDoors([]Door{door("ssh", "7000 8000", "")}, Scan{Mute: time.Minute}, 100)
	k.expect("2001:db8:1:fffe::1", "7000 8000", 0)
	if was := k.tracker.Unmute(k.now, netip.MustParseAddr("2001:db8:1:ffff::1")); was.String() != "2001:db8:1::/48" {
		t.Errorf("%v was muted", was)
	}
	k.expect("2001:db8:1::1", "7000 8000", Grant)
}

// What is muted is named as it is unmuted, and its time is its own.
func TestWhoIsMuted(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	k.expect("2001:db8:1:2::3", "7500", Muted)
	k.now = k.now.Add(20 * time.Second)
	k.expect("fe80::1%eth0", "7500", Muted)
	k.expect("192.0.2.1", "7500", Muted)
	if got, want := k.muted(), "192.0.2.1/32 for 1m0s, fe80::/64 for 1m0s, 2001:db8:1:2::/64 for 40s"; got != want {
		t.Errorf("muted: %s\nwant:  %s", got, want)
	}
	for address, want := range map[string]string{
		"2001:db8:1:2::9": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"192.0.2.2": "invalid Prefix", "fe80::1%eth1": "invalid Prefix",
	} {
		if was := k.tracker.Unmute(k.now, netip.MustParseAddr(address)); was.String() != want {
			t.Errorf("unmute %s: %v was muted, want %s", address, was, want)
		}
	}
	k.now = k.now.Add(time.Minute)
	if got := k.muted(); got != "192.0.2.1/32 for 0s" {
		t.Errorf("muted: %s", got)
	}
	k.now = k.now.Add(1)
	if got := k.muted(); got != "" {
		t.Errorf("muted: %s", got)
	}
}

// Two links that have the same address are two sources, whatever their names.
func TestZones(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	long := strings.Repeat("x", 1000)
	k.expect("fe80::1%eth0", "7000", 0)
	k.expect("fe80::1%eth1", "8000", 0)
	k.expect("fe80::1", "8000", 0)
	k.expect("fe80::1%"+long, "7000", 0)
	if e := k.expect("fe80::1%eth0", "8000", Grant); e.Source.Zone() != "eth0" {
		t.Errorf("the event is for %v", e.Source)
	}
	k.tracker = k.tracker.WithDoors([]Door{door("ssh", "7000 8000", "")}, Scan{Decoys: knocks("7500"), Mute: time.Minute}, 100)
	k.expect("fe80::1%"+long, "8000", Grant)
	k.expect("fe80::1%eth0", "7500", Muted)
	k.expect("fe80::2%eth0", "7000 8000", 0)
	k.expect("fe80::2%eth1", "7000 8000", Grant)
}

func TestReloadKeepsMuted(t *testing.T) {
	d := door("ssh", "7000 8000", "")
	k := newKnocker(t, d)
	k.expect("192.0.2.1", "7500", Muted)
	k.tracker = k.tracker.WithDoors([]Door{d}, Scan{Mute: time.Hour}, 100)
	k.expect("192.0.2.1", "7500", 0) // no decoy any more
	k.now = k.now.Add(30 * time.Minute)
	k.expect("192.0.2.1", "7000 8000", 0)
	k.now = k.now.Add(time.Hour)
	k.expect("192.0.2.1", "7000 8000", Grant)
}

// There is room for a hundred: the one muted longest makes room.
func TestMutedAreBounded(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000", ""))
	source := netip.MustParseAddr("192.0.2.1")
	for range 101 {
		k.expect(source.String(), "7500", Muted)
		source = source.Next()
	}
	some, n := k.tracker.MutedSources(k.now, 3)
	if n != 100 || len(some) != 3 || some[0].Prefix.String() != "192.0.2.101/32" {
		t.Errorf("%d are muted, want 100: %v", n, some)
	}
	k.expect("192.0.2.1", "7000 8000", Grant)
	k.expect("192.0.2.2", "7000 8000", 0)
}

func TestCode(t *testing.T) {
	d := door("ssh", "7000", "")
	d.CodeBase = 40000
	k := newKnocker(t, d)
	if e := k.expect("192.0.2.1", "7000 40492 41817", CheckCode); e.Code != 492817 {
		t.Errorf("code %06d, want 492817", e.Code)
	}
	k.expect("192.0.2.1", "40492 41817", 0)                   // without the sequence
	k.expect("192.0.2.1", "7000 40492 40493", 0)              // two first halves
	k.expect("192.0.2.1", "41817", 0)                         // it started over
	k.expect("192.0.2.1", "7000 41817 40492", 0)              // the wrong way round
	k.expect("192.0.2.1", "7000 40492:udp 41817:udp", 0)      // not TCP
	k.expect("192.0.2.1", "7000 6999 40000 41000", CheckCode) // another port does not disturb

	k.tracker.Mute(k.now, netip.MustParseAddr("192.0.2.1"))
	k.expect("192.0.2.1", "7000 40492 41817", 0)
	k.now = k.now.Add(time.Minute + 1)
	k.expect("192.0.2.1", "7000 40999 41999", CheckCode)
}

// A code needs no sequence before it, and its ports may be the last there are.
func TestCodeAlone(t *testing.T) {
	d := door("ssh", "", "")
	d.Sequence, d.CodeBase = nil, 63536
	k := newKnocker(t, d)
	k.expect("192.0.2.1", "63536", 0)
	if e := k.expect("192.0.2.1", "63537 65535", CheckCode); e.Code != 1999 {
		t.Errorf("code %06d, want 001999", e.Code)
	}
}
