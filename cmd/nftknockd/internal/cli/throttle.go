package cli

import (
	"sync"
	"time"
)

// A throttle does something when it is called, but not more often than once in
// a time: calls that come too soon are made up for, together, when it is over.
type throttle struct {
	every time.Duration
	do    func()

	mu      sync.Mutex
	resting bool
	called  bool // while resting
}

func (t *throttle) call() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting {
		t.called = true
		return
	}
	t.resting = true
	go t.do()
	time.AfterFunc(t.every, t.wake)
}

func (t *throttle) wake() {
	t.mu.Lock()
	again := t.called
	t.resting, t.called = false, false
	t.mu.Unlock()
	if again {
		t.call()
	}
}
