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

// Eventually waits until something is the case.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not so: %s", Timeout, what)
		}
		time.Sleep(PollInterval)
	}
}
