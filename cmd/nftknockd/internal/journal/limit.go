package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Lines of one kind are logged at once up to logBurst, then logRate a second. A line is
// some hundred bytes.
const (
	logBurst = 1000
	logRate  = 10
	logPause = 10 * time.Second // before the number of dropped lines is logged
)

// limited is a handler that limits each kind of line, which is its message. Strangers
// cannot make new kinds, but can cause many lines of one kind.
type limited struct {
	slog.Handler
	*limits
}

// limits are shared by all handlers that were made of one.
type limits struct {
	mu    sync.Mutex
	kinds map[string]*allowance
}

type allowance struct {
	lines   float64 // that may be logged now
	at      time.Time
	dropped int
}

func newLimited(h slog.Handler) slog.Handler {
	return limited{h, &limits{kinds: make(map[string]*allowance)}}
}

func (l limited) Handle(ctx context.Context, r slog.Record) error {
	if !l.allow(r) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l limited) allow(r slog.Record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.kinds[r.Message]
	if a == nil {
		a = &allowance{lines: logBurst, at: r.Time}
		l.kinds[r.Message] = a
	}
	a.lines = min(logBurst, a.lines+logRate*max(0, r.Time.Sub(a.at).Seconds()))
	a.at = r.Time
	if a.lines >= 1 {
		a.lines--
		return true
	}
	if a.dropped == 0 {
		time.AfterFunc(logPause, func() { l.logDropped(r.Message) })
	}
	a.dropped++
	return false
}

// logDropped logs how many lines of a kind were dropped.
func (l limited) logDropped(kind string) {
	l.mu.Lock()
	a := l.kinds[kind]
	n := a.dropped
	a.dropped = 0
	l.mu.Unlock()
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped: too many of one kind", 0)
	r.Add("kind", kind, "count", n)
	l.Handler.Handle(context.Background(), r)
}

func (l limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{l.Handler.WithAttrs(attrs), l.limits}
}

func (l limited) WithGroup(name string) slog.Handler {
	return limited{l.Handler.WithGroup(name), l.limits}
}
