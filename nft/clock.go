package nft

import "time"

// A clock tells when packets arrived, on the monotonic clock. The kernel stamps them by
// the wall clock, which can be set at any time: how long a packet has waited is measured from
// its stamp to the reading that brings it. If the wall clock has jumped since the reading
// before, the packet was stamped either before the jump or after it. The shorter of the waits
// that are possible is taken: the longer one contains the jump.
type clock struct {
	start   time.Time
	wall    time.Time     // of this reading
	elapsed time.Duration // on the monotonic clock, from start to this reading
	jump    time.Duration // of the wall clock, since the reading before
}

func newClock() clock {
	now := time.Now()
	return clock{start: now, wall: now.Round(0)}
}

// now takes the time of a reading.
func (c *clock) now() {
	now := time.Now()
	c.read(now.Round(0), now.Sub(c.start))
}

func (c *clock) read(wall time.Time, elapsed time.Duration) {
	c.jump = wall.Sub(c.wall) - (elapsed - c.elapsed)
	c.wall, c.elapsed = wall, elapsed
}

// arrived returns when a packet arrived that has a stamp, or the zero time for none: never
// after it was read, nor before the start.
func (c *clock) arrived(stamp time.Time) time.Time {
	waited := time.Duration(0)
	if !stamp.IsZero() {
		waited = c.wall.Sub(stamp)
		if before := waited - c.jump; waited < 0 || before >= 0 && before < waited {
			waited = before
		}
	}
	return c.start.Add(c.elapsed - min(max(waited, 0), c.elapsed))
}
