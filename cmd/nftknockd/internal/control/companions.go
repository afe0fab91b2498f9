package control

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"nftknock/cmd/nftknockd/internal/event"
)

// A Companion is a process beside the daemon that has a socket of its own, at which it may do no
// more than its work takes. Who that is, is up to the socket's directory: the socket has its
// group if that is to be inherited (the set-group-ID bit, inode(7)).
type Companion struct {
	Socket string // where the daemon listens unless it is told otherwise, if the directory is there

	does   string // for the log
	wanted func(Backend) bool
	server func(Backend) *http.Server
}

var (
	// Hooks runs the hooks.
	HooksCompanion = &Companion{
		"/run/nftknock-hooks/events.sock", "no hooks are run",
		func(b Backend) bool { return len(b.Hooks()) > 0 }, NewHooksServer,
	}
	// Fleet shares grants.
	FleetCompanion = &Companion{
		"/run/nftknock-fleet/fleet.sock", "no grants are shared",
		func(b Backend) bool { return b.Fleet() != nil }, NewFleetServer,
	}
)

// FindSocket returns the companion's socket, or nothing if its directory is not there.
func (c *Companion) FindSocket() string {
	if info, err := os.Stat(filepath.Dir(c.Socket)); err != nil || !info.IsDir() {
		return ""
	}
	return c.Socket
}

// Serve answers at a socket until the context ends; not at all if there is no path. The socket is
// there while the configuration has something for the companion to do: so the service manager
// knows when to start it.
func (c *Companion) Serve(ctx context.Context, backend Backend, path string, log *slog.Logger) {
	if path == "" {
		return
	}
	reloads, err := backend.Watch(event.Reloaded)
	if err != nil {
		log.Error(c.does, "error", err)
		return
	}
	defer reloads.Close()
	var serving Servers
	defer func() { serving.Stop() }()
	for {
		switch wanted := c.wanted(backend); {
		case wanted && serving == nil:
			l, err := listen(path, 0o660)
			if err != nil {
				log.Error(c.does, "error", err)
				break
			}
			serving = Servers{start(c.server(backend), l, log)}
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
