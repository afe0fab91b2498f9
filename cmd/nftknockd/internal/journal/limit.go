package journal

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// How many lines of one kind are logged: as many at once, then as many a second.
// A line is some hundred bytes.
const (
	logBurst = 1000
	logRate  = 10
	logPause = 10 * time.Second // until it is told how many were left out
)

// limited bounds what a handler is given of each kind of line, that is: of each
// message. Nobody outside can make a kind, but some can make many lines of one.
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
	lines   float64 // that may still be logged
	at      time.Time
	leftOut int
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
	if a.leftOut == 0 {
		time.AfterFunc(logPause, func() { l.tellLeftOut(r.Message) })
	}
	a.leftOut++
	return false
}

// tellLeftOut makes up for the lines that were left out.
func (l limited) tellLeftOut(kind string) {
	l.mu.Lock()
	a := l.kinds[kind]
	n := a.leftOut
	a.leftOut = 0
	l.mu.Unlock()
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines left out, there were too many", 0)
	r.Add("kind", kind, "count", n)
	l.Handler.Handle(context.Background(), r)
}

func (l limited) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limited{l.Handler.WithAttrs(attrs), l.limits}
}

func (l limited) WithGroup(name string) slog.Handler {
	return limited{l.Handler.WithGroup(name), l.limits}
}
