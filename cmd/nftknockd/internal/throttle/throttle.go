// Package throttle does things now and then, however often they are called for.
package throttle

import (
	"sync"
	"time"
)

// A Throttle does something when it is called, but not more often than once in a time:
// calls that come too soon become one, when it is over.
type Throttle struct {
	Every time.Duration
	Do    func()

	mu      sync.Mutex
	resting bool
	called  bool // while resting
}

// Call does it now, or as soon as it may be done again.
func (t *Throttle) Call() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting {
		t.called = true
		return
	}
	t.resting = true
	go t.Do()
	time.AfterFunc(t.Every, t.wake)
}

func (t *Throttle) wake() {
	t.mu.Lock()
	again := t.called
	t.resting, t.called = false, false
	t.mu.Unlock()
	if again {
		t.Call()
	}
}
