package life

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// TestClockJumps sets the clock a year forward, and then two years back, in the
// middle of a sequence and while somebody is in. Nobody notices.
func TestClockJumps(t *testing.T) {
	if !*lifeClock {
		t.Skip("sets this machine's clock: go test -life.clock lets it")
	}
	for _, way := range lifeWays { // not beside any other test
		t.Run("own_table="+way.own, func(t *testing.T) {
			s := newLifeTopology(t, way.family)
			d := startReady(t, s.Server, lab.WriteConfig(t, "own_table = \""+way.own+"\"\n"+lifeDoors))
			moveIn(t, s)
			before := takeSnapshot(t, s)

			const year = 365 * 24 * time.Hour
			const enough = 100 * time.Millisecond // for the daemon to have judged the knocks
			jump := jumper(t)
			s.Knock(t, s.Source, lab.SSHSequence[0])
			jump(year)
			s.Knock(t, s.Neighbour, briefSequence...)
			s.Knock(t, s.Source, lab.SSHSequence[1])
			time.Sleep(enough)
			ahead := takeSnapshot(t, s)
			jump(-year)
			s.Knock(t, s.Source, lab.SSHSequence[2])
			time.Sleep(enough)
			behind := takeSnapshot(t, s)
			jump(0)

			expectSame(t, s, before, ahead)
			expectSame(t, s, before, behind)
			expectSame(t, s, before, takeSnapshot(t, s))
			s.WaitIn(t, "ssh", s.Source)
			s.WaitOut(t, "brief", s.Neighbour) // after two seconds, as ever
			lab.ExpectLine(t, d.Daemon, yearOf(year), "granted", "door=brief", s.Neighbour.String())
			lab.ExpectLine(t, d.Daemon, yearOf(-year), "granted", "door=ssh", s.Source.String())
			expectHearing(t, s, d)
		})
	}
}

// yearOf is how a line of the log begins that was written while the clock was ahead.
func yearOf(ahead time.Duration) string { return time.Now().Add(ahead).Format("time=2006-") }

// jumper returns what sets the clock to be ahead of the right time. What the
// right time is it knows from a clock that nobody can set. At the end of the
// test, the clock is right.
func jumper(t *testing.T) func(ahead time.Duration) {
	t.Helper()
	read := func(clock int32) time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	base := read(unix.CLOCK_REALTIME) - read(unix.CLOCK_BOOTTIME)
	start := read(unix.CLOCK_BOOTTIME)
	wrong := false
	set := func(ahead time.Duration) {
		right := base + read(unix.CLOCK_BOOTTIME)
		ts := unix.NsecToTimespec(int64(right + ahead))
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
			t.Fatalf("setting the clock: %v", err)
		}
		if wrong = ahead != 0; !wrong {
			t.Logf("the clock was wrong for %v", read(unix.CLOCK_BOOTTIME)-start)
		}
	}
	t.Cleanup(func() {
		if wrong {
			set(0)
		}
	})
	return set
}
