package event

import (
	"container/heap"
	"slices"
	"time"
)

// An expiry knows when those who are let in will be out, of which the kernel says
// nothing. One timer waits for the earliest end.
type expiry struct {
	ends  map[place]time.Time
	queue ends
	timer *time.Timer // nil while nobody watches
}

// A place is who is let in, and through which door.
type place struct{ door, source string }

// begin starts anew. It calls due when there may be something for over to return.
func (x *expiry) begin(due func()) {
	x.ends, x.queue = make(map[place]time.Time), nil
	x.timer = time.AfterFunc(time.Hour, due)
	x.timer.Stop()
}

func (x *expiry) end() {
	x.timer.Stop()
	*x = expiry{}
}

func (x *expiry) knows(e Event) bool {
	_, ok := x.ends[place{e.Door, e.Source}]
	return ok
}

// note takes in what an event says about somebody's time.
func (x *expiry) note(e Event) {
	p := place{e.Door, e.Source}
	switch e.Kind {
	case LetIn:
		x.ends[p] = e.Until
		if !e.Until.IsZero() {
			heap.Push(&x.queue, end{p, e.Until})
			if len(x.queue) > 2*len(x.ends)+1024 { // many were renewed
				x.rebuild()
			}
			x.wait()
		}
	case PutOut:
		delete(x.ends, p)
	case Reloaded: // who was let in through a door that is no more was put out with it
		for p := range x.ends {
			if !slices.Contains(e.Doors, p.door) {
				delete(x.ends, p)
			}
		}
	}
}

// rebuild drops from the queue what no longer holds.
func (x *expiry) rebuild() {
	x.queue = x.queue[:0]
	for p, at := range x.ends {
		if !at.IsZero() {
			x.queue = append(x.queue, end{p, at})
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

// over returns an event for each whose time is over.
func (x *expiry) over(now time.Time) []Event {
	var expired []Event
	for len(x.queue) > 0 && !x.queue[0].at.After(now) {
		e := heap.Pop(&x.queue).(end)
		if x.ends[e.place].Equal(e.at) { // not put out, and not renewed
			delete(x.ends, e.place)
			expired = append(expired, Event{Time: now, Kind: Expired, Door: e.door, Source: e.source})
		}
	}
	if x.timer != nil {
		x.wait()
	}
	return expired
}

// ends is a heap, the earliest first. Those that no longer hold may stay in it
// until their time.
type ends []end

type end struct {
	place
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
