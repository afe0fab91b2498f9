package knock

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSideBySide(t *testing.T) {
	tellAll(t, []chapter{
		{"everything twice", ssh, `
			0s  ann 7000
			0s  ann 7000
			1s  ann 8000
			1s  ann 8000
			2s  ann 9000  -> ssh: grant
			2s  ann 9000  -> ssh: grant
		`},
		{"every datagram twice", dns, `
			0s  ann 7000:udp
			0s  ann 7000:udp
			1s  ann 8000:udp
			1s  ann 8000:udp
			2s  ann 9000:udp  -> dns: grant
			2s  ann 9000:udp  -> dns: grant
		`},
		{"one after the other begins", sshClose, `
			0s  ann 7000
			1s  ann 8000
			1s  ann 7000
			2s  ann 9000  -> ssh: grant
			2s  ann 8000
			3s  ann 9000  -> ssh: grant
		`},
		{"one between the other's knocks", ssh, `
			0s  ann 7000
			1s  ann 8000
			2s  ann 7000
			3s  ann 9000  -> ssh: grant
			4s  ann 8000
			5s  ann 9000  -> ssh: grant
		`},
		{"a knock nobody waits for starts all over", ssh, `
			0s  ann 7000
			0s  ann 7000
			1s  ann 9000
			2s  ann 8000
			3s  ann 9000
		`},
		{"also those further on", ssh, `
			0s  ann 7000
			0s  ann 8000
			0s  ann 8000
			1s  ann 9000
		`},
		{"the wrong order", ssh, `
			0s  ann 8000
			1s  ann 7000
			2s  ann 9000
			3s  ann 8000
		`},
		{"of equals the youngest counts", ssh, `
			0s   ann 7000
			14s  ann 7000
			15s  ann 8000
			17s  ann 9000  -> ssh: grant
		`},
		{"the ninth takes the room of the oldest", []Door{door("ssh", "7000 8000", "")}, `
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			0s  ann 7000
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000  -> ssh: grant
			1s  ann 8000
		`},
	})
}

// Packets may be reordered on their way to the tracker.
func TestTimeRunsBack(t *testing.T) {
	tellAll(t, []chapter{
		{"a little", ssh, `
			2s     ann 7000
			1999ms ann 8000
			1998ms ann 9000  -> ssh: grant
		`},
		{"does not give more time", ssh, `
			10s ann 7000
			1s  ann 8000
			17s ann 9000
		`},
		{"nor by what others send", ssh, `
			0s  ann 7000
			0s  ann 8000
			16s bob 7000
			1s  ann 9000
		`},
		{"to before there was a tracker", ssh, `
			-1h ann 7000
			-1h ann 8000
			-1h ann 9000
		`},
	})
}

// Eight who knock at once are all let in by the time each has finished, and none is put
// out, whatever the order in which their knocks arrive.
func TestEightAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(2, 6).Draw(t, "length")
		ports := rapid.Permutation(knocks("7001 7002 7003:udp 7004 7005:udp 7006")).Draw(t, "ports")[:length]
		d := Door{Name: "ssh", Sequence: ports, SeqTimeout: time.Second}
		switch rapid.IntRange(0, 2).Draw(t, "closing") {
		case 1:
			d.CloseSequence = slices.Clone(ports)
			slices.Reverse(d.CloseSequence)
		case 2:
			d.CloseSequence = rapid.Permutation(ports).Draw(t, "close sequence")
		}
		tracker := NewTracker([]Door{d}, Scan{}, 1000)
		var order []int // who knocks next
		for who := range MaxParallel {
			order = append(order, slices.Repeat([]int{who}, length)...)
		}
		order = rapid.Permutation(order).Draw(t, "order")

		now, finished, granted := time.Now(), 0, 0
		done := make([]int, MaxParallel)
		for i, who := range order {
			p := Packet{Source: people["ann"], SourcePort: uint16(40000 + i), Port: ports[done[who]]}
			done[who]++
			if done[who] == length {
				finished++
			}
			for _, e := range tracker.Observe(now, p) {
				if e.Action != Grant {
					t.Fatal(e)
				}
				granted++
			}
			if granted < finished {
				t.Fatalf("%d have finished, %d were let in", finished, granted)
			}
		}
	})
}

// All are let in also where a port comes twice in a row. Where a sequence comes back to
// one, that is likely, not certain.
func TestAtOnceWithAPortTwice(t *testing.T) {
	const rounds = 1000
	random := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		sequence string
		people   int
		low      int // percent
		high     int
	}{
		{"7000 7000 8000", 8, 100, 100},
		{"7000 8000 8000 9000", 8, 100, 100},
		{"7000 8000 9000 9000", 8, 100, 100},
		{"7000 8000 7000", 2, 80, 95},
		{"7000 8000 7000 9000", 2, 80, 95},
		{"7000 8000 9000 8000", 2, 80, 95},
		{"7000 8000 7000", 8, 20, 70},
		{"7000 8000 7000 9000", 8, 20, 70},
		{"7000 8000 9000 7000", 8, 20, 70},
	} {
		d := door("ssh", test.sequence, "")
		if again, _ := Revisits(d.Sequence); (again > 0) != (test.low < 100) {
			t.Errorf("%s: Revisits is %d", test.sequence, again)
		}
		tracker := NewTracker([]Door{d}, Scan{}, 1000)
		granted := 0
		for range rounds {
			tracker.attempts.clear()
			var order []int
			for who := range test.people {
				order = append(order, slices.Repeat([]int{who}, len(d.Sequence))...)
			}
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			done := make([]int, test.people)
			for i, who := range order {
				p := Packet{Source: people["ann"], SourcePort: uint16(40000 + i), Port: d.Sequence[done[who]]}
				done[who]++
				granted += len(tracker.Observe(tracker.epoch, p))
			}
		}
		if got := 100 * granted / rounds / test.people; got < test.low || got > test.high {
			t.Errorf("%s: %d%% of %d are let in, want %d to %d%%", test.sequence, got, test.people, test.low, test.high)
		}
	}
}

// Somebody who knows the ports and not their order, and knocks at random, needs as many
// knocks as the documentation says.
func TestKnocksAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for length, want := range map[int]float64{3: 16, 4: 97, 5: 988} {
		ports := knocks("7000 8000 9000 10000 11000")[:length]
		d := Door{Name: "ssh", Sequence: ports, SeqTimeout: time.Hour}
		const rounds = 1000
		sent := 0
		tracker := NewTracker([]Door{d}, Scan{}, 100)
		for range rounds {
			tracker.attempts.clear()
			for opened := false; !opened; sent++ {
				p := Packet{Source: people["ann"], Port: ports[random.IntN(length)], SourcePort: uint16(sent), ISN: uint32(sent)}
				opened = len(tracker.Observe(tracker.epoch, p)) > 0
			}
		}
		if got := float64(sent) / rounds; got < 0.9*want || got > 1.1*want {
			t.Errorf("%d ports: %.1f knocks on average, want %.0f", length, got, want)
		}
	}
}

// TestInProgress: what is complete, or out of time, is under way no more.
func TestInProgress(t *testing.T) {
	d := door("ssh", "7000 8000 9000", "")
	tracker := NewTracker([]Door{d}, Scan{}, 1000)
	now := time.Now()
	knock := func(who string, n int) {
		tracker.Observe(now, Packet{Source: people[who], SourcePort: uint16(40000 + n), Port: d.Sequence[n]})
	}
	check := func(want int) {
		t.Helper()
		if got := tracker.InProgress(now); got != want {
			t.Errorf("%d attempts are under way, want %d", got, want)
		}
	}
	check(0)
	knock("ann", 0)
	knock("ann", 1)
	knock("bob", 0)
	check(2)
	knock("ann", 2)
	check(1)
	now = now.Add(d.SeqTimeout + time.Second)
	check(0)
}
