package event

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"
)

// An expiry knows when grants end, which the kernel does not tell. One timer waits for the
// earliest end.
type expiry struct {
	ends   map[grantKey]time.Time
	before map[grantKey]bool // grants of an earlier run, of which nothing was heard since
	queue  ends
	timer  *time.Timer
}

// A grantKey is what has at most one grant: a source at a door.
type grantKey struct{ door, source string }

// begin starts without grants. It calls due when over may return something.
func (x *expiry) begin(due func()) {
	x.ends = make(map[grantKey]time.Time)
	x.timer = time.AfterFunc(time.Hour, due)
	x.timer.Stop()
}

// past says that what was noted so far is of an earlier run.
func (x *expiry) past() {
	x.before = make(map[grantKey]bool, len(x.ends))
	for key := range x.ends {
		x.before[key] = true
	}
}

// present takes in the grants that there are when a run begins, and returns an event for
// each one of before that is not among them. What has happened since is newer.
func (x *expiry) present(grants []Event, now time.Time) []Event {
	for _, e := range grants {
		key := grantKey{e.Door, e.Source}
		if _, known := x.ends[key]; !known || x.before[key] {
			x.note(e)
		}
	}
	var expired []Event
	for key := range x.before {
		if _, in := x.ends[key]; in {
			delete(x.ends, key)
			expired = append(expired, Event{Time: now, Kind: Expired, Door: key.door, Source: key.source})
		}
	}
	x.before = nil
	slices.SortFunc(expired, func(a, b Event) int {
		return cmp.Or(strings.Compare(a.Door, b.Door), strings.Compare(a.Source, b.Source))
	})
	return expired
}

// note takes in what an event says about a grant's end.
func (x *expiry) note(e Event) {
	key := grantKey{e.Door, e.Source}
	switch e.Kind {
	case Granted:
		x.ends[key] = e.Until
		delete(x.before, key)
		if !e.Until.IsZero() {
			heap.Push(&x.queue, end{key, e.Until})
			if len(x.queue) > 2*len(x.ends)+1024 { // many were renewed
				x.rebuild()
			}
			x.wait()
		}
	case Revoked, Expired:
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
	x.wait()
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
