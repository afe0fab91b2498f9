package integration

import (
	"testing"
	"time"
)

// aWhile is how long a test waits for what has to happen. It is far more than
// an idle machine needs, so that a busy one fails no test.
const aWhile = 30 * time.Second

// pollPause is how long a test waits before it looks again.
const pollPause = 20 * time.Millisecond

// eventually waits until something is the case.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(aWhile)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not so: %s", aWhile, what)
		}
		time.Sleep(pollPause)
	}
}
