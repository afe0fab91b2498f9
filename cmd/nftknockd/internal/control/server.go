// Package control is the control socket of the daemon, for itself and for the commands
// around it. CONTROL.md describes what goes over the socket.
//
//	status open close reload ──→ Client ──→ socket ──→ server ──→ Backend
//	watch                    ←── Client ←── socket ←── server ←── event.Bus
//
// This package alone knows HTTP: it gives the gate's errors their status codes. The server
// bounds what it takes in and whom it waits for.
package control

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/netutil"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/config"
)

// A Backend does what is asked for over the socket. Its methods are called from many
// goroutines.
type Backend interface {
	Status() (*gate.Status, error)
	// Open grants all of a source, for the door's open_timeout if the duration is 0.
	Open(door string, source netip.Prefix, d time.Duration) ([]gate.Grant, error)
	// Revoke ends the grants that overlap with a source, or all if it is not valid.
	Revoke(door string, source netip.Prefix, by gate.Origin) ([]gate.Grant, error)
	// Reload reads the configuration anew.
	Reload(context.Context) error
	Watch(...event.Kind) (*event.Watcher, error)
	Subscribe(after string, kinds ...event.Kind) (*event.Subscription, error)
	Resume(after string, kinds ...event.Kind) (*event.Subscription, error)
	Hooks() []config.Hook
}

var _ Backend = (*gate.Gate)(nil)

// What a client may use of the daemon: an administrator's request fits into these.
const (
	maxConnections = 128 // others wait
	maxHeader      = 8 << 10
	maxBody        = 4 << 10
	requestTimeout = 10 * time.Second // for a client to send, and to take, what it has to
)

// NewServer returns a server for a listener of [Listen]. It also serves metrics.
func NewServer(backend Backend, metrics http.Handler) *http.Server {
	s := &server{backend}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("POST /v1/open", s.open)
	mux.HandleFunc("POST /v1/close", s.close)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/hooks", s.hooks)
	mux.Handle("GET /metrics", metrics)
	return newHTTPServer(mux)
}

// NewHooksServer returns a server for who runs the hooks, and may do nothing else.
func NewHooksServer(backend Backend) *http.Server {
	s := &server{backend}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/hooks", s.hooks)
	return newHTTPServer(mux)
}

// NewMetricsServer returns a server for metrics alone.
func NewMetricsServer(metrics http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return newHTTPServer(mux)
}

func newHTTPServer(h http.Handler) *http.Server {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: requestTimeout / 2,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // whoever connects could fill it
	}
	server.SetKeepAlivesEnabled(false) // a connection that is done with makes room for the next one
	new(pendingConnections).track(server)
	return server
}

// Limit bounds how many connections are served at once.
func Limit(l net.Listener) net.Listener { return netutil.LimitListener(l, maxConnections) }

type server struct{ backend Backend }

func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	status, err := s.backend.Status()
	answer(w, status, err)
}

func (s *server) open(w http.ResponseWriter, r *http.Request) {
	result, err := s.openFor(r)
	answer(w, result, err)
}

func (s *server) openFor(r *http.Request) (*Result, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	var d time.Duration
	if req.For != "" {
		if d, err = config.ParseOpenTimeout(req.For); err != nil {
			return nil, &Error{http.StatusBadRequest, "for: " + err.Error()}
		}
	}
	if req.All {
		return nil, &Error{http.StatusBadRequest, "open: nobody can grant everybody: name a source"}
	}
	source, err := parseSource(req.Source)
	if err != nil {
		return nil, err
	}
	grants, err := s.backend.Open(req.Door, source, d)
	if err != nil {
		return nil, err
	}
	result := &Result{Door: req.Door}
	for _, g := range grants {
		result.Sources, result.Until = append(result.Sources, g.Source()), g.Until
	}
	return result, nil
}

func (s *server) close(w http.ResponseWriter, r *http.Request) {
	result, err := s.closeFor(r)
	answer(w, result, err)
}

func (s *server) closeFor(r *http.Request) (*Result, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	if req.All == (req.Source != "") || req.For != "" {
		return nil, &Error{http.StatusBadRequest, "close: name a source, or all"}
	}
	var source netip.Prefix
	if !req.All {
		if source, err = parseSource(req.Source); err != nil {
			return nil, err
		}
	}
	revoked, err := s.backend.Revoke(req.Door, source, gate.Admin)
	if err != nil {
		return nil, err
	}
	result := &Result{Door: req.Door, Sources: []string{}}
	for _, g := range revoked {
		result.Sources = append(result.Sources, g.Source())
	}
	return result, nil
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	extendDeadline(w, time.Minute) // a large table takes long
	answer(w, struct{}{}, s.backend.Reload(r.Context()))
}

func (s *server) hooks(w http.ResponseWriter, _ *http.Request) {
	hooks := Hooks{Hooks: []Hook{}}
	for _, h := range s.backend.Hooks() {
		hooks.Hooks = append(hooks.Hooks, wireHook(h))
	}
	answer(w, hooks, nil)
}

// events sends what happens, an object a line, until the client hangs up: to people what
// they keep up with; to a program that says after which event, or from now on, all of it.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var kinds []event.Kind
	for _, name := range query["kind"] {
		if !slices.Contains(event.Kinds, event.Kind(name)) {
			answer(w, nil, &Error{http.StatusBadRequest, fmt.Sprintf("no kind of event is called %q", name)})
			return
		}
		kinds = append(kinds, event.Kind(name))
	}
	next, position, end, err := s.source(query, kinds)
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer end()
	extendDeadline(w, requestTimeout)
	w.Header().Set("Content-Type", "application/x-ndjson")
	if position != "" {
		w.Header().Set(positionHeader, position)
	}
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	out.Flush() // the client knows now that it watches
	for {
		e, err := next(r.Context())
		if err != nil {
			return // a subscriber resumes, and is told then what is gone
		}
		out.SetWriteDeadline(time.Now().Add(requestTimeout))
		if lines.Encode(e) != nil || out.Flush() != nil {
			return
		}
	}
}

// positionHeader has the ID of the event after which a subscription begins.
const positionHeader = "Last-Event-ID"

// source returns where events come from and begin, and what to call at the end.
func (s *server) source(query url.Values, kinds []event.Kind) (next func(context.Context) (event.Event, error), position string, end func(), err error) {
	if query.Has("after") {
		after, subscribe := query.Get("after"), s.backend.Subscribe
		if after == "" {
			return nil, "", nil, &Error{http.StatusBadRequest, "after: want the id of an event, or now"}
		}
		switch gaps := query.Get("gaps"); gaps {
		case "":
		case "skip":
			subscribe = s.backend.Resume
		default:
			return nil, "", nil, &Error{http.StatusBadRequest, "gaps: want skip, or nothing"}
		}
		events, err := subscribe(after, kinds...)
		if err != nil {
			return nil, "", nil, err
		}
		return events.Next, events.Position(), events.Close, nil
	}
	watcher, err := s.backend.Watch(kinds...)
	if err != nil {
		return nil, "", nil, err
	}
	return func(ctx context.Context) (event.Event, error) {
		select {
		case e := <-watcher.Events():
			return e, nil
		case <-ctx.Done():
			return event.Event{}, ctx.Err()
		}
	}, "", watcher.Close, nil
}

// extendDeadline gives an answer another deadline than requestTimeout after the request.
// The deadline for reading has to go too: it would end the request's context.
func extendDeadline(w http.ResponseWriter, d time.Duration) {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Now().Add(d))
}
