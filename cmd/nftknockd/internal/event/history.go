package event

import (
	"slices"
	"strconv"
	"strings"
)

// replay is how many events are kept for subscriptions, apart for those that strangers
// can cause and all others: a flood of scans does not push out grants.
const replay = 4096

// A history is the last events, each with its number, and the daemons that they are of.
type history struct {
	seq       uint64 // of the last event
	runs      []run  // in order; the last one goes on
	ours      ring
	strangers ring
}

// A run is one daemon from its start to its end. Its name is in the ID of every event: what
// a daemon that was killed has told, and not got to record, are other events than those that
// have the same numbers in the next run.
type run struct {
	name  string
	after uint64 // the number of the last event before it
}

// maxRuns is how many runs are known by name.
const maxRuns = 256

// A ring holds the last events of some kinds, in the order of their numbers.
type ring struct {
	events  []Event
	next    int    // where the next event goes once the ring is full
	evicted uint64 // the number of the last event that is no longer held
}

// begin begins another run.
func (h *history) begin(name string) {
	h.runs = append(h.runs, run{name, h.seq})
	if len(h.runs) > maxRuns {
		h.runs = h.runs[1:]
	}
}

// add keeps an event, which has its number.
func (h *history) add(e Event) {
	h.seq = e.seq
	h.ringOf(e.Kind).add(e)
}

func (h *history) ringOf(k Kind) *ring {
	if k.byStrangers() {
		return &h.strangers
	}
	return &h.ours
}

func (r *ring) add(e Event) {
	if len(r.events) < replay {
		r.events = append(r.events, e)
		return
	}
	r.evicted = r.events[r.next].seq
	r.events[r.next] = e
	r.next = (r.next + 1) % replay
}

// all calls yield with the events, the oldest first.
func (r *ring) all(yield func(*Event) bool) {
	for i := range r.events {
		if !yield(&r.events[(r.next+i)%len(r.events)]) {
			return
		}
	}
}

// clone returns a history that does not change with this one.
func (h *history) clone() history {
	c := *h
	c.runs = slices.Clone(h.runs)
	c.ours.events, c.strangers.events = slices.Clone(h.ours.events), slices.Clone(h.strangers.events)
	return c
}

// id returns the ID of the event with a number.
func (h *history) id(seq uint64) string {
	i := len(h.runs) - 1
	for i > 0 && h.runs[i].after >= seq {
		i--
	}
	return h.runs[i].name + "-" + strconv.FormatUint(seq, 10)
}

// number returns the number of the event with an ID. Of what a run has told and not recorded
// it is that of the last one that it has.
func (h *history) number(id string) (uint64, bool) {
	name, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	i := slices.IndexFunc(h.runs, func(r run) bool { return r.name == name })
	switch {
	case err != nil || i < 0:
		return 0, false
	case i < len(h.runs)-1:
		return min(seq, h.runs[i+1].after), true
	}
	return seq, seq <= h.seq
}

// after returns the first event whose number is greater than seq and whose kind is wanted.
func (h *history) after(seq uint64, wanted func(Kind) bool) (Event, bool) {
	ours, ok := h.ours.after(seq, wanted)
	theirs, also := h.strangers.after(seq, wanted)
	if !ok || also && theirs.seq < ours.seq {
		return theirs, also
	}
	return ours, ok
}

func (r *ring) after(seq uint64, wanted func(Kind) bool) (Event, bool) {
	at := func(i int) *Event { return &r.events[(r.next+i)%len(r.events)] }
	low, high := 0, len(r.events)
	for low < high {
		if middle := (low + high) / 2; at(middle).seq > seq {
			high = middle
		} else {
			low = middle + 1
		}
	}
	for ; low < len(r.events); low++ {
		if e := at(low); wanted(e.Kind) {
			return *e, true
		}
	}
	return Event{}, false
}

// evicted returns the number of the last event that is no longer held, among those that
// are kept with the wanted ones.
func (h *history) evicted(wanted func(Kind) bool) uint64 {
	var last uint64
	for _, k := range recorded {
		if wanted(k) {
			last = max(last, h.ringOf(k).evicted)
		}
	}
	return last
}
