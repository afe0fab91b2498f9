package event

import (
	"container/heap"
	"slices"
	"time"
)

// An expiry knows when grants end, which the kernel does not tell. One timer waits for the
// earliest end.
type expiry struct {
	ends  map[grantKey]time.Time
	queue ends
	timer *time.Timer // nil while nobody watches
}

// A grantKey is what has at most one grant: a source at a door.
type grantKey struct{ door, source string }

// begin starts without grants. It calls due when over may return something.
func (x *expiry) begin(due func()) {
	x.ends, x.queue = make(map[grantKey]time.Time), nil
	x.timer = time.AfterFunc(time.Hour, due)
	x.timer.Stop()
}

func (x *expiry) end() {
	x.timer.Stop()
	*x = expiry{}
}

func (x *expiry) knows(e Event) bool {
	_, ok := x.ends[grantKey{e.Door, e.Source}]
	return ok
}

// note takes in what an event says about a grant's end.
func (x *expiry) note(e Event) {
	key := grantKey{e.Door, e.Source}
	switch e.Kind {
	case Granted:
		x.ends[key] = e.Until
		if !e.Until.IsZero() {
			heap.Push(&x.queue, end{key, e.Until})
			if len(x.queue) > 2*len(x.ends)+1024 { // many were renewed
				x.rebuild()
			}
			x.wait()
		}
	case Revoked:
		delete(x.ends, key)
	case Reloaded: // the grants of a door end with it
		for key := range x.ends {
			if !slices.Contains(e.Doors, key.door) {
				delete(x.ends, key)
			}
		}
	}
}

// rebuild drops outdated ends from the queue.
func (x *expiry) rebuild() {
	x.queue = x.queue[:0]
	for key, at := range x.ends {
		if !at.IsZero() {
			x.queue = append(x.queue, end{key, at})
		}
	}
	heap.Init(&x.queue)
}

// wait sets the timer to the earliest end.
func (x *expiry) wait() {
	if len(x.queue) > 0 {
		x.timer.Reset(time.Until(x.queue[0].at))
	}
}

// over returns an event for each grant that has ended.
func (x *expiry) over(now time.Time) []Event {
	var expired []Event
	for len(x.queue) > 0 && !x.queue[0].at.After(now) {
		e := heap.Pop(&x.queue).(end)
		if x.ends[e.grantKey].Equal(e.at) { // neither revoked nor renewed
			delete(x.ends, e.grantKey)
			expired = append(expired, Event{Time: now, Kind: Expired, Door: e.door, Source: e.source})
		}
	}
	if x.timer != nil {
		x.wait()
	}
	return expired
}

// ends is a heap, the earliest first. Outdated ends may stay in it until their time.
type ends []end

type end struct {
	grantKey
	at time.Time
}

func (q ends) Len() int           { return len(q) }
func (q ends) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q ends) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *ends) Push(e any)        { *q = append(*q, e.(end)) }
func (q *ends) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
