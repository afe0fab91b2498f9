package lab

import (
	"testing"
	"time"
)

// Timeout is how long a test waits for what has to happen. It is far more than
// an idle machine needs, so that a busy one fails no test.
const Timeout = 30 * time.Second

// PollInterval is how long a test waits before it looks again.
const PollInterval = 20 * time.Millisecond

// longestPause bounds how far apart looks get that go on for long.
const longestPause = 250 * time.Millisecond

// Eventually waits until something is the case. To look may take a process, so the pauses
// grow with the time waited: what takes seconds is not delayed by much, and other tests get on.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for start := time.Now(); !is(); {
		waited := time.Since(start)
		if waited > Timeout {
			t.Fatalf("after %v still not so: %s", Timeout, what)
		}
		time.Sleep(min(max(waited/8, PollInterval), longestPause))
	}
}
