package demo

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nftknock/config"
)

// startLimit is how long the daemon may take to start, and to stop.
const startLimit = 5 * time.Second

// A demoDaemon is the real daemon, in this process.
type demoDaemon struct {
	cancel context.CancelFunc
	ended  chan error
}

func startDaemon(ctx context.Context, cfg *config.Config, state stateDir, log *slog.Logger) (*demoDaemon, error) {
	ctx, cancel := context.WithCancel(ctx)
	d := &demoDaemon{cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { d.ended <- serve(ctx, cfg, state, log, func() { close(ready) }) }()
	select {
	case <-ready:
		return d, nil
	case err := <-d.ended:
		cancel()
		return nil, cmp.Or(err, context.Cause(ctx))
	case <-time.After(startLimit):
		cancel()
		return nil, fmt.Errorf("the daemon was not ready within %s", startLimit)
	}
}

// stop ends the daemon, unless it has ended, and returns what it ended with.
func (d *demoDaemon) stop() error {
	d.cancel()
	select {
	case err := <-d.ended:
		if err != nil {
			return fmt.Errorf("the daemon ended: %w", err)
		}
		return nil
	case <-time.After(startLimit):
		return fmt.Errorf("the daemon did not stop within %s", startLimit)
	}
}

// A logBuffer keeps what is logged until it is wanted.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) text() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
