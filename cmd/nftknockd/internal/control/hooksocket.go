package control

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"nftknock/cmd/nftknockd/internal/event"
)

// DefaultHooksSocket is where the daemon listens for who runs the hooks, if its directory is
// there. Who that is, is up to the directory: the socket has its group if that is to be
// inherited (the set-group-ID bit, inode(7)).
const DefaultHooksSocket = "/run/nftknock-hooks/events.sock"

// FindHooksSocket returns DefaultHooksSocket, or nothing if its directory is not there.
func FindHooksSocket() string {
	if info, err := os.Stat(filepath.Dir(DefaultHooksSocket)); err != nil || !info.IsDir() {
		return ""
	}
	return DefaultHooksSocket
}

// ServeHooks answers at a socket for who runs the hooks, until the context ends; not at all if
// there is no path. The socket is there while there is a hook: so the service manager knows
// when to start what runs them.
func ServeHooks(ctx context.Context, backend Backend, path string, log *slog.Logger) {
	if path == "" {
		return
	}
	reloads, err := backend.Watch(event.Reloaded)
	if err != nil {
		log.Error("no hooks are run", "error", err)
		return
	}
	defer reloads.Close()
	var serving Servers
	defer func() { serving.Stop() }()
	for {
		switch wanted := len(backend.Hooks()) > 0; {
		case wanted && serving == nil:
			l, err := listen(path, 0o660)
			if err != nil {
				log.Error("no hooks are run", "error", err)
				break
			}
			serving = Servers{start(NewHooksServer(backend), l, log)}
		case !wanted && serving != nil:
			serving.Stop()
			serving = nil
		}
		select {
		case <-reloads.Events():
		case <-ctx.Done():
			return
		}
	}
}
