package nft

import (
	"math"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	const day, minute = 24 * time.Hour, time.Minute
	for _, test := range []struct {
		name   string
		jump   time.Duration // of the wall clock, between two readings
		before bool          // the packet was stamped before the jump
		waited time.Duration
	}{
		{"no jump", 0, false, 0},
		{"no jump, a backlog", 0, false, 50 * time.Second},
		{"forward, then the packet", time.Hour, false, 3 * time.Second},
		{"the packet, then forward", time.Hour, true, 3 * time.Second},
		{"back, then the packet", -time.Hour, false, 3 * time.Second},
		{"the packet, then back", -time.Hour, true, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			wall := c.wall.Add(day)
			c.read(wall, day)
			c.read(wall.Add(minute).Add(test.jump), day+minute)
			stamp := c.wall.Add(-test.waited)
			if test.before {
				stamp = stamp.Add(-test.jump)
			}
			want := c.start.Add(day + minute - test.waited)
			if got := c.arrived(stamp); !got.Equal(want) {
				t.Errorf("arrived at %v, want %v", got.Sub(c.start), want.Sub(c.start))
			}
		})
	}
}

// A stamp that cannot be right is no reason for a time that cannot be.
func TestClockRejects(t *testing.T) {
	c := newClock()
	c.read(c.wall.Add(time.Minute), time.Minute)
	for _, stamp := range []time.Time{
		{}, c.wall.Add(time.Hour), c.wall.Add(-time.Hour), time.Unix(0, 0),
		time.Unix(math.MaxInt64, math.MaxInt64), time.Unix(math.MinInt64, math.MinInt64),
	} {
		got := c.arrived(stamp).Sub(c.start)
		if got < 0 || got > time.Minute {
			t.Errorf("stamp %v: arrived %v after the start", stamp, got)
		}
	}
}
