package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"nftknock/cmd/nftknockd/internal/api"
)

// maxPending is how many connections may be without a whole request.
const maxPending = 32

// pendingConnections are the connections of a server that have not sent their request.
// When there are too many the oldest is closed, so that idle ones keep nobody out.
type pendingConnections struct {
	mu    sync.Mutex
	conns []net.Conn // the oldest first
}

type connKey struct{}

// track follows the server's connections.
func (c *pendingConnections) track(s *http.Server) {
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.add(conn)
		case http.StateClosed:
			c.remove(conn)
		}
	}
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body that cannot be read is too long, or nobody waits for the answer.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit(r)))
		if err != nil {
			answer(w, nil, &api.Error{Code: http.StatusBadRequest, Text: "the body cannot be read: " + err.Error()})
			return
		}
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			c.remove(conn)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	})
}

func (c *pendingConnections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	if len(c.conns) > maxPending {
		c.conns[0].Close()
		c.conns = slices.Delete(c.conns, 0, 1)
	}
}

func (c *pendingConnections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.conns, conn); i >= 0 {
		c.conns = slices.Delete(c.conns, i, i+1)
	}
}

// bodyLimit is how large the body of a request may be. A trial's holds files, and a fleet's
// many decisions.
func bodyLimit(r *http.Request) int64 {
	switch {
	case r.URL.Path == "/v1/trial":
		return maxTrial
	case strings.HasPrefix(r.URL.Path, "/v1/fleet/"):
		return maxFleet
	}
	return maxBody
}
