package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxWaiting is how many connections may be without a whole request.
const maxWaiting = 32

// A crowd is the connections of a server that have not sent their request. When there are
// too many the oldest is closed, so that those who only hold on to theirs keep nobody
// else out.
type crowd struct {
	mu      sync.Mutex
	waiting []net.Conn // the oldest first
}

type connKey struct{}

// keep has the server's connections kept by the crowd.
func (c *crowd) keep(s *http.Server) {
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.enter(conn)
		case http.StateClosed:
			c.leave(conn)
		}
	}
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A body that cannot be read is too long, or nobody waits for the answer.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			answer(w, nil, &Error{http.StatusBadRequest, "the body cannot be read: " + err.Error()})
			return
		}
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			c.leave(conn)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	})
}

func (c *crowd) enter(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, conn)
	if len(c.waiting) > maxWaiting {
		c.waiting[0].Close()
		c.waiting = slices.Delete(c.waiting, 0, 1)
	}
}

func (c *crowd) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.waiting, conn); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
}
