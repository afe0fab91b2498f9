// Package journal makes the daemon's log: a line an event, limited for each kind of
// line, with priorities where the journal reads it.
package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"nftknock/config"
)

// New returns a logger that writes to stderr. If the journal reads stderr, a line begins
// with its priority (sd-daemon(3)) and has no time, which the journal adds itself.
func New(stderr io.Writer, format config.LogFormat) *slog.Logger {
	options := &slog.HandlerOptions{}
	newHandler := func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, options) }
	if format == config.JSON {
		newHandler = func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, options) }
	}
	if !isJournal(stderr) {
		return slog.New(newLimited(newHandler(stderr)))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(newLimited(newPrioritized(stderr, newHandler)))
}

// isJournal reports whether the journal reads w (systemd.exec(5), JOURNAL_STREAM).
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// A prioritized handler has one handler for each level, which writes the level's
// priority before each line.
type prioritized struct {
	levels map[slog.Level]slog.Handler
}

func newPrioritized(w io.Writer, newHandler func(io.Writer) slog.Handler) slog.Handler {
	p := prioritized{make(map[slog.Level]slog.Handler)}
	for level, priority := range map[slog.Level]int{ // syslog(3)
		slog.LevelDebug: 7, slog.LevelInfo: 6, slog.LevelWarn: 4, slog.LevelError: 3,
	} {
		p.levels[level] = newHandler(prefixer{w, fmt.Sprintf("<%d>", priority)})
	}
	return p
}

func (p prioritized) Enabled(_ context.Context, level slog.Level) bool {
	return p.levels[level] != nil && level >= slog.LevelInfo
}

func (p prioritized) Handle(ctx context.Context, r slog.Record) error {
	return p.levels[r.Level].Handle(ctx, r)
}

func (p prioritized) WithAttrs(attrs []slog.Attr) slog.Handler {
	return p.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (p prioritized) WithGroup(name string) slog.Handler {
	return p.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (p prioritized) each(change func(slog.Handler) slog.Handler) slog.Handler {
	changed := prioritized{make(map[slog.Level]slog.Handler)}
	for level, h := range p.levels {
		changed.levels[level] = change(h)
	}
	return changed
}

// A prefixer writes something before each write, which slog's handlers do once for each line.
type prefixer struct {
	w      io.Writer
	prefix string
}

func (p prefixer) Write(line []byte) (int, error) {
	_, err := p.w.Write(append([]byte(p.prefix), line...))
	return len(line), err
}
