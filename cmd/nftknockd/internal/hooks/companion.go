package hooks

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
)

// A Daemon is what a companion needs of one.
type Daemon interface {
	// Hooks returns what is to be run. Its error is fs.ErrNotExist if nobody is to be asked.
	Hooks() ([]config.Hook, error)
	// Follow calls see with each event of the kinds after an event, until the context ends, the
	// daemon does, or see returns an error. It says begun when it has begun, and after which.
	Follow(ctx context.Context, after string, kinds []event.Kind, begun func(after string), see func(event.Event) error) error
}

// A Companion runs the hooks of a daemon's configuration: for each event at least once, at
// most AtOnce at a time. It remembers up to where events are dealt with: what had not ended
// when it was killed is run again.
type Companion struct {
	Daemon         Daemon
	Position       event.PositionFile
	AtOnce         int
	Log            *slog.Logger
	Stdout, Stderr io.Writer // the programs'
	Ready          func()    // is called when the first events can come

	queue *queue
	hooks []config.Hook
}

const (
	retryAfter = 100 * time.Millisecond // when the daemon does not answer
	idleFor    = 3 * time.Second        // without a daemon to ask, before a companion ends
)

// errReloaded says that the hooks may be others.
var errReloaded = errors.New("reloaded")

// Run runs hooks until the context ends, and then waits for the programs that run. Where there
// is no hook, or no daemon, it ends after a while.
func (c *Companion) Run(ctx context.Context) error {
	after, err := c.Position.Load()
	if err != nil {
		c.Log.Warn("earlier events are skipped", "error", err)
	}
	moved := make(chan struct{}, 1)
	c.queue = newQueue(c.AtOnce, c.run, func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	})
	c.queue.last = after
	saving, saved := make(chan struct{}), make(chan struct{})
	go func() {
		c.save(after, moved, saving)
		close(saved)
	}()
	err = c.follow(ctx)
	c.queue.stop()
	close(saving)
	<-saved
	return err
}

// follow connects to the daemon, again and again. The error is that of a companion which may not.
func (c *Companion) follow(ctx context.Context) error {
	var alone time.Time // since when there is nobody to ask
	unanswered := false
	for ctx.Err() == nil {
		err := c.connect(ctx)
		switch {
		case err == nil, errors.Is(err, errReloaded):
			alone, unanswered = time.Time{}, false
			continue
		case errors.Is(err, fs.ErrPermission):
			return err
		case !errors.Is(err, fs.ErrNotExist):
			alone = time.Time{}
			if !unanswered && ctx.Err() == nil {
				c.Log.Warn("the daemon does not answer: trying again", "error", err)
			}
			unanswered = true
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) >= idleFor && c.queue.idle():
			c.Log.Info("nothing to do: no hook is configured, or nftknockd does not run")
			return nil
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
	return nil
}

// connect reads the hooks and follows events until they may be others.
func (c *Companion) connect(ctx context.Context) error {
	hooks, err := c.Daemon.Hooks()
	if err != nil {
		return err
	}
	if len(hooks) == 0 {
		return fs.ErrNotExist
	}
	c.hooks = hooks
	after := c.queue.received()
	if after == "" {
		after = event.Now
	}
	return c.Daemon.Follow(ctx, after, c.kinds(), func(position string) {
		if after == event.Now {
			c.queue.begin(position)
		}
		if c.Ready != nil {
			c.Ready()
			c.Log.Info("running hooks", "hooks", len(hooks))
			c.Ready = nil
		}
	}, func(e event.Event) error { return c.see(ctx, e) })
}

// kinds returns what a daemon is asked for: what some hook is run for, and when to ask for the
// hooks again.
func (c *Companion) kinds() []event.Kind {
	kinds := []event.Kind{event.Reloaded}
	for _, h := range c.hooks {
		for _, on := range h.On {
			if k := event.Kind(on); !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	return kinds
}

func (c *Companion) see(ctx context.Context, e event.Event) error {
	if !event.IsID(e.ID) {
		return errors.New("the daemon sends an event without an ID")
	}
	if e.Kind == event.Missed {
		c.Log.Warn("hooks may miss events: more has happened than the daemon remembers", "after", e.ID)
		return nil
	}
	var hooks []config.Hook
	for _, h := range c.hooks {
		if slices.Contains(h.On, config.HookEvent(e.Kind)) && (h.Door == "" || h.Door == e.Door) {
			hooks = append(hooks, h)
		}
	}
	if err := c.queue.add(ctx, e, hooks); err != nil {
		return err
	}
	if e.Kind == event.Reloaded {
		return errReloaded
	}
	return nil
}

// run runs what a job has to.
func (c *Companion) run(j *job) {
	about := []any{"event", j.event.Kind, "door", j.event.Door, "source", j.event.Source, "id", j.event.ID}
	e, err := checked(j.event)
	if err != nil {
		c.Log.Error("no hook is run", "error", err)
		return
	}
	for _, h := range j.hooks {
		log := c.Log.With("hook", h.Name).With(about...)
		p := program{
			args: h.Args(func(placeholder string) string { return fill(e, placeholder) }),
			env:  []string{"NFTKNOCK_HOOK=" + h.Name, "NFTKNOCK_ID=" + e.ID}, timeout: h.Timeout,
			stdout: c.Stdout, stderr: c.Stderr,
		}
		began := time.Now()
		if err := p.run(e); err != nil {
			log.Error("hook failed", "error", err, "took", time.Since(began).Round(time.Millisecond))
			continue
		}
		log.Info("hook done", "took", time.Since(began).Round(time.Millisecond))
	}
}

// fill returns what stands for one of config.HookPlaceholders.
func fill(e event.Event, placeholder string) string {
	switch placeholder {
	case "source":
		return e.Source
	case "door":
		return e.Door
	case "by":
		return e.By
	default:
		return string(e.Kind)
	}
}

// save keeps the position, whenever it has moved, until it is told to end.
func (c *Companion) save(saved string, moved, end <-chan struct{}) {
	failing := false
	save := func() {
		after := c.queue.position()
		if after == saved {
			return
		}
		err := c.Position.Save(after)
		switch {
		case err == nil:
			saved, failing = after, false
		case !failing:
			failing = true
			c.Log.Error("cannot save which hooks were run: after a restart they run again, or miss events", "error", err)
		}
	}
	for {
		select {
		case <-moved:
			save()
		case <-end:
			save()
			return
		}
	}
}
