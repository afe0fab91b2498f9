package knock

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The people in the stories.
var people = map[string]netip.Addr{
	"ann": netip.MustParseAddr("192.0.2.1"),
	"bob": netip.MustParseAddr("192.0.2.2"),
	"cat": netip.MustParseAddr("192.0.2.3"),
	"dan": netip.MustParseAddr("192.0.2.4"),
	"eve": netip.MustParseAddr("192.0.2.5"),
	"six": netip.MustParseAddr("2001:db8::1"), // speaks IPv6
	"sue": netip.MustParseAddr("2001:db8::2"), // and so does she
}

// tell tells the tracker a story: what arrives, a packet a line, and what it
// completes.
//
//	0s   ann 7000
//	1s   ann 8000:udp
//	2s   ann 9000                -> ssh: grant
//
// Every packet is a new one, from the source port 40000, unless the story
// names the initial sequence number or the source port:
//
//	0s   ann 7000#1
//	1s   ann 7000#1              a retransmission
//	2s   ann 7000#1 from 50000   the same number on another connection
func tell(t *testing.T, tracker *Tracker, story string) {
	t.Helper()
	start := time.Now()
	fresh := uint32(1 << 20)
	for line := range strings.Lines(story) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		what, want, _ := strings.Cut(line, "->")
		after, p, numbered := parsePacket(t, what)
		if !numbered {
			fresh++
			p.ISN = fresh
		}
		var got []string
		for _, e := range tracker.Observe(start.Add(after), p) {
			if e.Source != p.Source {
				t.Errorf("%s\nthe event is for another source: %v", line, e)
			}
			got = append(got, fmt.Sprintf("%s: %s", e.Door.Name, e.Action))
		}
		if got, want := strings.Join(got, ", "), strings.TrimSpace(want); got != want {
			t.Errorf("%s\ncompleted %q, want %q", line, got, want)
		}
	}
}

// parsePacket reads "1s ann 7000#1 from 50000".
func parsePacket(t *testing.T, s string) (after time.Duration, p Packet, numbered bool) {
	t.Helper()
	words := strings.Fields(s)
	if len(words) != 3 && (len(words) != 5 || words[3] != "from") {
		t.Fatalf("%q is no packet", s)
	}
	after, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatal(err)
	}
	source, known := people[words[1]]
	if !known {
		t.Fatalf("%q: nobody knows %s", s, words[1])
	}
	port, isn, numbered := strings.Cut(words[2], "#")
	p = Packet{Source: source, SourcePort: 40000, Port: knocks(port)[0]}
	if numbered {
		p.ISN = uint32(number(t, isn))
	}
	if len(words) == 5 {
		p.SourcePort = number(t, words[4])
	}
	return after, p, numbered
}

func number(t *testing.T, s string) uint16 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

// knocks reads a sequence, "7000 8000:udp 9000".
func knocks(s string) []Port {
	var sequence []Port
	for _, word := range strings.Fields(s) {
		port, err := ParsePort(word)
		if err != nil {
			panic(err)
		}
		sequence = append(sequence, port)
	}
	return sequence
}

// door returns a door with a SeqTimeout of 15 seconds, and a closing sequence
// unless that is empty.
func door(name, sequence, closeSequence string) Door {
	return Door{
		Name:          name,
		Sequence:      knocks(sequence),
		CloseSequence: knocks(closeSequence),
		SeqTimeout:    15 * time.Second,
	}
}

// A chapter is a story, the doors it is about and what it teaches.
type chapter struct {
	name  string
	doors []Door
	story string
}

func tellAll(t *testing.T, chapters []chapter) {
	t.Helper()
	for _, c := range chapters {
		t.Run(c.name, func(t *testing.T) {
			tell(t, NewTracker(c.doors, Scan{}, 100), c.story)
		})
	}
}

// The doors of most stories.
var (
	ssh      = []Door{door("ssh", "7000 8000 9000", "")}
	sshClose = []Door{door("ssh", "7000 8000 9000", "9000 8000 7000")}
	sshWeb   = []Door{door("ssh", "7000 8000 9000", ""), door("web", "7001 8001 9001", "")}
	dns      = []Door{door("dns", "7000:udp 8000:udp 9000:udp", "")}
	mixed    = []Door{door("ssh", "7000 8000:udp 9000", "")}
	bell     = []Door{door("bell", "7000", "")}
)

func TestOrder(t *testing.T) {
	tellAll(t, []chapter{
		{"in order", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
		`},
		{"all at one instant", ssh, `
			0s  ann 7000
			0s  ann 8000
			0s  ann 9000  -> ssh: grant
		`},
		{"in another order", ssh, `
			0s  ann 7000
			1s  ann 9000
			2s  ann 8000
		`},
		{"the last knock alone", ssh, `
			0s  ann 9000
		`},
		{"the first knock missing", ssh, `
			0s  ann 8000
			1s  ann 9000
		`},
		{"TCP and UDP", mixed, `
			0s  ann 7000
			1s  ann 8000:udp
			2s  ann 9000  -> ssh: grant
		`},
		{"a single knock", bell, `
			0s  ann 7000  -> bell: grant
			1s  ann 7000  -> bell: grant
		`},
		{"a port nobody knocks on", ssh, `
			0s  ann 22
		`},
	})
}

func TestWrongKnock(t *testing.T) {
	tellAll(t, []chapter{
		{"starts over", ssh, `
			0s  ann 7000
			1s  ann 9000
			2s  ann 8000
			3s  ann 9000
		`},
		{"then everything again", ssh, `
			0s  ann 7000
			1s  ann 9000
			2s  ann 7000
			3s  ann 8000
			4s  ann 9000  -> ssh: grant
		`},
		{"counts as the first knock", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 7000
			3s  ann 8000
			4s  ann 9000  -> ssh: grant
		`},
		{"the first knock twice", ssh, `
			0s  ann 7000
			1s  ann 7000
			2s  ann 8000
			3s  ann 9000  -> ssh: grant
		`},
		{"the second knock twice", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 8000
			3s  ann 9000
		`},
		{"is none if an attempt can begin with it", []Door{door("ssh", "7000 7000 8000", "")}, `
			0s  ann 7000
			1s  ann 7000
			2s  ann 7000
			3s  ann 8000  -> ssh: grant
		`},
	})
}

func TestOtherPorts(t *testing.T) {
	tellAll(t, []chapter{
		{"no door's", ssh, `
			0s  ann 7000
			1s  ann 22
			2s  ann 8000
			3s  ann 8001
			4s  ann 9000  -> ssh: grant
		`},
		{"another door's", sshWeb, `
			0s  ann 7000
			1s  ann 9001
			2s  ann 8000
			3s  ann 8001
			4s  ann 9000  -> ssh: grant
		`},
		{"two doors at once", sshWeb, `
			0s  ann 7000
			1s  ann 7001
			2s  ann 8001
			3s  ann 8000
			4s  ann 9000  -> ssh: grant
			5s  ann 9001  -> web: grant
		`},
		{"the same number of the other protocol", ssh, `
			0s  ann 7000
			1s  ann 9000:udp
			2s  ann 8000
			3s  ann 7000:udp
			4s  ann 9000  -> ssh: grant
		`},
		{"the other protocol is no knock", mixed, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000
		`},
	})
}

func TestSamePortTwice(t *testing.T) {
	twice := []Door{door("ssh", "7000 7000 8000", "")}
	tellAll(t, []chapter{
		{"two SYNs", twice, `
			0s  ann 7000
			1s  ann 7000
			2s  ann 8000  -> ssh: grant
		`},
		{"one SYN and its retransmission", twice, `
			0s  ann 7000#1
			1s  ann 7000#1
			2s  ann 8000
		`},
		{"at both ends", []Door{door("ssh", "7000 8000 7000", "")}, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 7000  -> ssh: grant
			3s  ann 8000
			4s  ann 7000
		`},
	})
}

func TestSeqTimeout(t *testing.T) {
	patient := door("patient", "7001 8001", "")
	patient.SeqTimeout = time.Hour
	tellAll(t, []chapter{
		{"exactly", ssh, `
			0s   ann 7000
			14s  ann 8000
			15s  ann 9000  -> ssh: grant
		`},
		{"a nanosecond over", ssh, `
			0s             ann 7000
			14s            ann 8000
			15.000000001s  ann 9000
		`},
		{"counts from the first knock", ssh, `
			0s   ann 7000
			10s  ann 8000
			20s  ann 9000
		`},
		{"counts from the new first knock", ssh, `
			0s   ann 7000
			10s  ann 7000
			20s  ann 8000
			25s  ann 9000  -> ssh: grant
		`},
		{"a retransmission gives no more time", ssh, `
			0s   ann 7000#1
			10s  ann 7000#1
			14s  ann 8000
			16s  ann 9000
		`},
		{"what came too late counts as the first knock", ssh, `
			0s   ann 7000
			16s  ann 7000
			17s  ann 8000
			31s  ann 9000  -> ssh: grant
		`},
		{"each door its own", append([]Door{patient}, ssh...), `
			0s   ann 7001
			0s   ann 7000
			1s   ann 8000
			20s  ann 9000
			1h   ann 8001  -> patient: grant
		`},
	})
}

func TestRetransmission(t *testing.T) {
	tellAll(t, []chapter{
		{"does not disturb", ssh, `
			0s  ann 7000#1
			1s  ann 7000#1
			2s  ann 8000#2
			3s  ann 7000#1
			3s  ann 8000#2
			4s  ann 9000#3  -> ssh: grant
		`},
		{"does not advance", []Door{door("ssh", "7000 8000 7000", "")}, `
			0s  ann 7000#1
			1s  ann 8000#2
			3s  ann 7000#1
			7s  ann 7000#1
			8s  ann 7000#3  -> ssh: grant
		`},
		{"does not complete twice", bell, `
			0s  ann 7000#1  -> bell: grant
			1s  ann 7000#1
			3s  ann 7000#1
		`},
		{"has the same source port", []Door{door("ssh", "7000 7000", "")}, `
			0s  ann 7000#1
			1s  ann 7000#1
			2s  ann 7000#1 from 50000  -> ssh: grant
		`},
		{"has the same source", bell, `
			0s  ann 7000#1  -> bell: grant
			1s  bob 7000#1  -> bell: grant
		`},
		{"has the same port", ssh, `
			0s  ann 7000#1
			1s  ann 8000#1
			2s  ann 9000#1  -> ssh: grant
		`},
		{"has the same protocol", []Door{door("ssh", "7000:udp 7000", "")}, `
			0s  ann 7000:udp#1
			1s  ann 7000#1  -> ssh: grant
		`},
		{"is none of a SYN that did not count", ssh, `
			0s  ann 8000#2
			0s  ann 7000#1
			1s  ann 8000#2
			2s  ann 9000#3  -> ssh: grant
		`},
		{"is none of a failed attempt", ssh, `
			0s  ann 7000#1
			0s  ann 9000#3
			1s  ann 7000#1
			1s  ann 8000#2
			1s  ann 9000#3  -> ssh: grant
		`},
		{"is none of an attempt that ran out of time", ssh, `
			0s             ann 7000#1
			15.000000001s  ann 7000#1
			16s            ann 8000#2
			17s            ann 9000#3  -> ssh: grant
		`},
		{"does not spell the closing sequence", sshClose, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			1s  ann 9000#3
			1s  ann 8000#2
			1s  ann 7000#1
		`},
		{"is ignored by the other door, too", []Door{
			door("ssh", "7000 8000 9000", ""),
			door("web", "6000 8000 7000", ""),
		}, `
			0s  ann 7000#1
			0s  ann 8000#2
			1s  ann 6000
			2s  ann 8000#2
			2s  ann 7000#1
			3s  ann 9000#3  -> ssh: grant
		`},
		{"is ignored for SeqTimeout after completion", bell, `
			0s             ann 7000#1  -> bell: grant
			15s            ann 7000#1
			15.000000001s  ann 7000#1  -> bell: grant
		`},
		{"of the first knock is ignored as long as that of the last", ssh, `
			0s   ann 7000#1
			10s  ann 8000#2
			15s  ann 9000#3  -> ssh: grant
			30s  ann 7000#1
			30s  ann 8000#2
			30s  ann 9000#3
			31s  ann 7000#1
			31s  ann 8000#2
			31s  ann 9000#3  -> ssh: grant
		`},
		{"does not disturb a renewal", ssh, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			1s  ann 7000#4
			1s  ann 8000#5
			1s  ann 7000#1
			1s  ann 9000#6  -> ssh: grant
		`},
		{"does not advance a renewal", ssh, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			1s  ann 7000#4
			1s  ann 8000#2
			1s  ann 9000#3
		`},
		{"does not spell the closing sequence during a renewal", sshClose, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			2s  ann 7000#4
			3s  ann 9000#3
			3s  ann 8000#2
			3s  ann 7000#1
		`},
		{"is ignored also where a renewal failed", ssh, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			1s  ann 7000#4
			1s  ann 9000#5
			2s  ann 7000#1
			2s  ann 8000#2
			2s  ann 9000#3
		`},
		{"is ignored after a wrong knock that is not the first", ssh, `
			0s  ann 7000#1
			0s  ann 8000#2
			0s  ann 9000#3  -> ssh: grant
			1s  ann 8000#4
			2s  ann 7000#1
			2s  ann 8000#2
			2s  ann 9000#3
		`},
		{"is ignored while a renewal takes longer than SeqTimeout", ssh, `
			0s   ann 7000#1
			0s   ann 8000#2
			0s   ann 9000#3  -> ssh: grant
			14s  ann 7000#4
			16s  ann 7000#4
			17s  ann 8000#5
			18s  ann 7000#4
			29s  ann 9000#6  -> ssh: grant
			44s  ann 7000#4
			44s  ann 8000#5
			44s  ann 9000#6
		`},
		{"is remembered of the last eight successes", bell, `
			0s  ann 7000#1  -> bell: grant
			1s  ann 7000#2  -> bell: grant
			2s  ann 7000#1
			2s  ann 7000#3  -> bell: grant
			2s  ann 7000#4  -> bell: grant
			2s  ann 7000#5  -> bell: grant
			2s  ann 7000#6  -> bell: grant
			2s  ann 7000#7  -> bell: grant
			2s  ann 7000#8  -> bell: grant
			3s  ann 7000#1
			3s  ann 7000#9  -> bell: grant
			4s  ann 7000#2
			4s  ann 7000#1  -> bell: grant
		`},
	})
}

// Three telnets at once knock, and their SYNs come again and again, each time
// in an order nobody chose.
func TestRetransmissionsInAnyOrder(t *testing.T) {
	rounds := []time.Duration{1 * time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}
	orders := [][]string{
		{"7000#1", "8000#2", "9000#3"}, {"7000#1", "9000#3", "8000#2"},
		{"8000#2", "7000#1", "9000#3"}, {"8000#2", "9000#3", "7000#1"},
		{"9000#3", "7000#1", "8000#2"}, {"9000#3", "8000#2", "7000#1"},
	}
	// chosen, to the base of six, has an order for each of the four rounds.
	for chosen := range 6 * 6 * 6 * 6 {
		var story strings.Builder
		story.WriteString(`
			0ms  ann 7000#1
			1ms  ann 8000#2
			2ms  ann 9000#3  -> ssh: grant
		`)
		for _, after := range rounds {
			for i, syn := range orders[chosen%6] {
				fmt.Fprintf(&story, "%s ann %s\n", after+time.Duration(i)*time.Millisecond, syn)
			}
			chosen /= 6
		}
		tell(t, NewTracker(sshClose, Scan{}, 100), story.String())
		if t.Failed() {
			t.Fatal(story.String())
		}
	}
}

func TestDatagram(t *testing.T) {
	tellAll(t, []chapter{
		{"a repeated one is another knock", []Door{door("dns", "7000:udp 7000:udp 8000:udp", "")}, `
			0s  ann 7000:udp#0
			1s  ann 7000:udp#0
			2s  ann 8000:udp#0  -> dns: grant
		`},
		{"a repeated one starts over", dns, `
			0s  ann 7000:udp#0
			1s  ann 8000:udp#0
			2s  ann 8000:udp#0
			3s  ann 9000:udp#0
		`},
		{"renews", dns, `
			0s  ann 7000:udp#0
			1s  ann 8000:udp#0
			2s  ann 9000:udp#0  -> dns: grant
			3s  ann 7000:udp#0
			4s  ann 8000:udp#0
			5s  ann 9000:udp#0  -> dns: grant
		`},
	})
}

func TestRenewal(t *testing.T) {
	tellAll(t, []chapter{
		{"at once", ssh, `
			0s  ann 7000
			0s  ann 8000
			0s  ann 9000  -> ssh: grant
			0s  ann 7000
			0s  ann 8000
			0s  ann 9000  -> ssh: grant
		`},
		{"later", ssh, `
			0s   ann 7000
			0s   ann 8000
			0s   ann 9000  -> ssh: grant
			1h0s ann 7000
			1h1s ann 8000
			1h2s ann 9000  -> ssh: grant
		`},
		{"needs the whole sequence", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			3s  ann 9000
			4s  ann 8000
			5s  ann 9000
		`},
		{"has all the time again", ssh, `
			0s   ann 7000
			14s  ann 8000
			15s  ann 9000  -> ssh: grant
			16s  ann 7000
			17s  ann 8000
			31s  ann 9000  -> ssh: grant
		`},
		{"with a closing sequence", sshClose, `
			0s  ann 7000
			0s  ann 8000
			0s  ann 9000  -> ssh: grant
			1s  ann 7000
			1s  ann 8000
			1s  ann 9000  -> ssh: grant
		`},
	})
}

func TestCloseSequence(t *testing.T) {
	tellAll(t, []chapter{
		{"after opening", sshClose, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			3s  ann 9000
			4s  ann 8000
			5s  ann 7000  -> ssh: revoke
			6s  ann 7000
			7s  ann 8000
			8s  ann 9000  -> ssh: grant
		`},
		{"of a door that is not open", sshClose, `
			0s  ann 9000
			1s  ann 8000
			2s  ann 7000  -> ssh: revoke
		`},
		{"the last knock of an opening is no first of a closing", sshClose, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			3s  ann 8000
			4s  ann 7000
		`},
		{"is followed for itself", []Door{door("ssh", "7000 8000 9000", "7001 8001")}, `
			0s  ann 7000
			1s  ann 7001
			2s  ann 8000
			3s  ann 8001  -> ssh: revoke
			4s  ann 9000  -> ssh: grant
		`},
	})
}

func TestSeveralDoorsByOnePacket(t *testing.T) {
	tellAll(t, []chapter{
		{"two let in", []Door{
			door("ssh", "7000 9000", ""),
			door("web", "8000 9000", ""),
		}, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant, web: grant
		`},
		{"one lets in and one puts out", []Door{
			door("ssh", "7000 9000", ""),
			door("web", "6000", "8000 9000"),
		}, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant, web: revoke
		`},
		{"one disturbed and one not", []Door{
			door("ssh", "7000 9000", ""),
			door("web", "7000 8000 9000", ""),
		}, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant, web: grant
			3s  ann 8000
			4s  ann 9000
		`},
	})
}

func TestSources(t *testing.T) {
	tellAll(t, []chapter{
		{"nobody finishes what another began", ssh, `
			0s  ann 7000
			1s  bob 8000
			2s  ann 9000
			3s  six 8000
			4s  six 9000
		`},
		{"nobody disturbs another", ssh, `
			0s  ann 7000
			1s  bob 9000
			2s  ann 8000
			3s  bob 7000
			4s  ann 9000  -> ssh: grant
		`},
		{"two at once", ssh, `
			0s  ann 7000
			0s  bob 7000
			1s  bob 8000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			2s  bob 9000  -> ssh: grant
		`},
		{"IPv6", sshClose, `
			0s  six 7000
			1s  six 8000
			1s  sue 7000
			2s  six 9000  -> ssh: grant
			3s  sue 9000
			4s  six 9000
			5s  six 8000
			6s  six 7000  -> ssh: revoke
		`},
		{"IPv6 retransmissions", ssh, `
			0s  six 7000#1
			1s  six 8000#2
			1s  six 7000#1
			2s  six 9000#3  -> ssh: grant
		`},
	})
}

func TestNoDoors(t *testing.T) {
	tell(t, NewTracker(nil, Scan{}, 100), "0s ann 7000")
}

func TestLongestSequence(t *testing.T) {
	long := Door{Name: "ssh", SeqTimeout: time.Second}
	for n := range MaxSequence {
		long.Sequence = append(long.Sequence, Port{Number: uint16(7000 + n/2), Proto: TCP})
	}
	tracker := NewTracker([]Door{long}, Scan{}, 1)
	now := time.Now()
	p := Packet{Source: people["ann"], SourcePort: 40000}
	for range 3 {
		for n, port := range long.Sequence {
			p.ISN++
			p.Port = port
			events := tracker.Observe(now, p)
			if completed := len(events) == 1; completed != (n == MaxSequence-1) {
				t.Fatalf("knock %d: %v", n+1, events)
			}
		}
	}
}

// A flood of strangers does not erase somebody who is further on.
func TestFlood(t *testing.T) {
	const limit = 100
	tracker := NewTracker(ssh, Scan{}, limit)
	now := time.Now()
	send := func(source netip.Addr, knock int) []Event {
		now = now.Add(time.Millisecond)
		return tracker.Observe(now, Packet{Source: source, Port: ssh[0].Sequence[knock]})
	}

	send(people["ann"], 0)
	send(people["ann"], 1)
	stranger := netip.MustParseAddr("198.18.0.0")
	for range 10 * limit {
		stranger = stranger.Next()
		send(stranger, 0)
		if n := tracker.attempts.len(); n > limit {
			t.Fatalf("%d attempts in progress, the limit is %d", n, limit)
		}
	}
	if n := tracker.attempts.len(); n != limit {
		t.Errorf("%d attempts in progress after the flood, want %d", n, limit)
	}

	got := send(people["ann"], 2)
	want := []Event{{Action: Grant, Door: &ssh[0], Source: people["ann"]}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("after the flood (-want +got):\n%s", diff)
	}
}

func TestFull(t *testing.T) {
	for _, c := range []struct {
		chapter
		limit int
	}{
		{chapter{"keeps who is further on", ssh, `
			0s  ann 7000
			1s  bob 7000
			2s  cat 7000
			3s  ann 8000
			4s  dan 7000
			5s  eve 7000
			6s  ann 9000  -> ssh: grant
			7s  bob 8000
			7s  bob 9000
		`}, 3},
		{chapter{"one attempt is enough", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			3s  bob 7000
			4s  bob 8000
			5s  bob 9000  -> ssh: grant
		`}, 1},
		{chapter{"a second sequence takes the room of the first", []Door{
			door("ssh", "7000 8000", ""),
			door("web", "7000 9000", ""),
		}, `
			0s  ann 7000
			1s  ann 8000
			1s  ann 9000  -> web: grant
		`}, 1},
		{chapter{"a packet for two sequences takes the room of one and counts for the other", []Door{
			door("ssh", "7000 8000", ""),
			door("web", "6000 7000 9000", ""),
		}, `
			0s  ann 6000
			1s  ann 7000
			2s  ann 8000  -> ssh: grant
		`}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tracker := NewTracker(c.doors, Scan{}, c.limit)
			tell(t, tracker, c.story)
			if n := tracker.attempts.len(); n > c.limit {
				t.Errorf("%d attempts in progress, the limit is %d", n, c.limit)
			}
		})
	}
}

// The oldest of those who have seen their first knock only goes first.
func TestFullForgetsTheOldest(t *testing.T) {
	const limit, strangers = 10, 15
	tracker := NewTracker([]Door{door("ssh", "7000 8000", "")}, Scan{}, limit)
	now := time.Now()
	source := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(n)}) }
	for n := range strangers {
		now = now.Add(time.Millisecond)
		tracker.Observe(now, Packet{Source: source(n), Port: knocks("7000")[0]})
	}
	for n := range strangers {
		events := tracker.Observe(now, Packet{Source: source(n), Port: knocks("8000")[0]})
		if remembered := len(events) == 1; remembered != (n >= strangers-limit) {
			t.Errorf("number %d of %d: remembered is %v, there is room for %d", n+1, strangers, remembered, limit)
		}
	}
}

// What has run out of time goes without a timer, while packets arrive.
func TestForgotten(t *testing.T) {
	tracker := NewTracker(ssh, Scan{}, 1000)
	now := time.Now()
	p := Packet{Source: netip.MustParseAddr("198.18.0.0"), Port: ssh[0].Sequence[0]}
	for n := range 200 {
		p.Source = p.Source.Next()
		tracker.Observe(now, p)
		if got, want := tracker.attempts.len(), n+1; got != want {
			t.Fatalf("%d attempts are remembered, want %d", got, want)
		}
	}
	now = now.Add(ssh[0].SeqTimeout + 1)
	p.Source = people["ann"]
	for range 200 {
		p.ISN++
		tracker.Observe(now, p)
	}
	if n := tracker.attempts.len(); n != MaxParallel {
		t.Errorf("%d attempts are remembered, want only the last %d", n, MaxParallel)
	}
}

func TestString(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{Grant, "grant"},
		{Revoke, "revoke"},
		{Action(0), "action 0"},
		{Event{Action: Grant, Door: &ssh[0], Source: people["ann"]}, "ssh: grant 192.0.2.1"},
		{Event{Action: Revoke, Door: &ssh[0], Source: people["six"]}, "ssh: revoke 2001:db8::1"},
	} {
		if got := test.value.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
