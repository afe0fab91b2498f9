package control

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
)

// The socket is there while there is a hook, whatever has put the configuration in force: each
// time it is reloaded, as it is for a trial and after it.
func TestServeCompanion(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "hooks")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "events.sock")
	backend := newBackend()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { HooksCompanion.Serve(ctx, backend, path, slog.New(slog.DiscardHandler)); close(ended) }()
	expect := func(there bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			_, err := os.Stat(path)
			if (err == nil) == there {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the socket is there: %v, want %v", err == nil, there)
			}
			backend.bus.Publish(event.Event{Kind: event.Reloaded})
		}
	}
	expect(false)
	for range 2 {
		backend.setHooks(config.Hook{Name: "wake"})
		expect(true)
		backend.setHooks()
		expect(false)
	}
	backend.setHooks(config.Hook{Name: "wake"})
	expect(true)
	cancel()
	<-ended
	expect(false)
}
