package hooks

import (
	"context"
	"slices"
	"sync"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
)

// queueLength is how many events may wait for their programs. Those that come then wait at the
// daemon.
const queueLength = 1024

// A job is an event, and what is to be run for it, one after the other.
type job struct {
	event   event.Event
	hooks   []config.Hook
	before  string // the position before it
	started bool
}

// A source at a door: what happens to it is dealt with in order, so that a program which
// undoes something does not run before the one that does it.
type subject struct{ door, source string }

func (j *job) subject() subject { return subject{j.event.Door, j.event.Source} }

// A queue deals with events, several at a time, and knows up to where all are dealt with.
type queue struct {
	atOnce int
	run    func(*job)
	moved  func() // is called when the position may have changed

	mu         sync.Mutex
	unfinished []*job // in the order of their events
	last       string // the ID of the last event that came
	running    int
	stopped    bool
	room       chan struct{} // there may be room again
	all        sync.WaitGroup
}

func newQueue(atOnce int, run func(*job), moved func()) *queue {
	return &queue{atOnce: atOnce, run: run, moved: moved, room: make(chan struct{}, 1)}
}

// add takes in an event, for which nothing may have to be run, as soon as there is room.
func (q *queue) add(ctx context.Context, e event.Event, hooks []config.Hook) error {
	for len(hooks) > 0 && q.full() {
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.mu.Lock()
	if len(hooks) > 0 {
		q.unfinished = append(q.unfinished, &job{event: e, hooks: hooks, before: q.last})
	}
	q.last = e.ID
	q.start()
	q.mu.Unlock()
	q.moved()
	return nil
}

// begin sets the position of a queue that nothing was added to.
func (q *queue) begin(after string) {
	q.mu.Lock()
	q.last = after
	q.mu.Unlock()
	q.moved()
}

func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.unfinished) >= queueLength
}

// start starts what can be started. The lock is held.
func (q *queue) start() {
	var busy map[subject]bool
	for _, j := range q.unfinished {
		if q.stopped || q.running == q.atOnce {
			return
		}
		if busy == nil {
			busy = make(map[subject]bool)
		}
		if !j.started && !busy[j.subject()] {
			j.started = true
			q.running++
			q.all.Go(func() {
				q.run(j)
				q.finish(j)
			})
		}
		busy[j.subject()] = true
	}
}

func (q *queue) finish(j *job) {
	q.mu.Lock()
	q.running--
	q.unfinished = slices.DeleteFunc(q.unfinished, func(other *job) bool { return other == j })
	q.start()
	q.mu.Unlock()
	select {
	case q.room <- struct{}{}:
	default:
	}
	q.moved()
}

// received returns the ID of the last event that came, and position that of the last one
// up to which all are dealt with.
func (q *queue) received() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

func (q *queue) position() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.unfinished) > 0 {
		return q.unfinished[0].before
	}
	return q.last
}

func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.unfinished) == 0
}

// stop waits for what runs, and starts nothing any more.
func (q *queue) stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.all.Wait()
}
