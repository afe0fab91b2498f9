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
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/share"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

// A Backend does what is asked for over the socket. Its methods are called from many
// goroutines.
type Backend interface {
	Status() (*status.Status, error)
	// Open grants a source access, for the door's open_timeout if the duration is 0, and returns
	// the grant that lets it in.
	Open(door string, source grant.Source, d time.Duration) (grant.Grant, error)
	// Revoke ends the grants within a source, or all if it is the zero Source.
	Revoke(door string, source grant.Source, by grant.Origin) ([]grant.Grant, error)
	// AlwaysAllowed says what lets a source in without a grant.
	AlwaysAllowed(source grant.Source) []status.Way
	// WaysIn says what else lets a source, or anybody, in to the ports of a door.
	WaysIn(door string, source grant.Source) ([]status.Way, error)
	// Unmute listens again to who is muted within a source, and returns what was muted.
	Unmute(source grant.Source) ([]grant.Source, error)
	// Reload reads the configuration anew.
	Reload(context.Context) error
	// Trial tries a configuration, until the context ends.
	Trial(context.Context, *config.Config, time.Duration, trial.Countdown) (event.Event, error)
	// Trace says what the gate knows of a source.
	Trace(source netip.Addr) (*status.Trace, error)
	Watch(...event.Kind) (*event.Watcher, error)
	// Follow is Watch with the steps of attempts, of a source, or of all if it is not valid.
	Follow(source netip.Prefix, kinds ...event.Kind) (w *event.Watcher, end func(), err error)
	Subscribe(after string, kinds ...event.Kind) (*event.Subscription, error)
	Resume(after string, kinds ...event.Kind) (*event.Subscription, error)
	Hooks() []config.Hook
	Fleet() *config.Fleet // nil: there is none
	// Share carries out what other gates have decided, and Spend refuses what was used there.
	Share([]grant.Shared) error
	Spend(context.Context, []event.Spent) error
	SharedGrants() ([]status.Grant, error)
	ReportFleet(status.Fleet)
}

var _ Backend = share.Gate{}

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
	mux.HandleFunc("POST /v1/unmute", s.unmute)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("POST /v1/trial", s.trial)
	mux.HandleFunc("GET /v1/trace", s.trace)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/hooks", s.hooks)
	s.handleFleet(mux)
	mux.Handle("GET /metrics", metrics)
	return newHTTPServer(mux)
}

// NewHooksServer returns a server for the companion that runs hooks: it may do nothing else.
func NewHooksServer(backend Backend) *http.Server {
	s := &server{backend}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/hooks", s.hooks)
	return newHTTPServer(mux)
}

// NewFleetServer returns a server for the companion that shares grants: it may do nothing else.
func NewFleetServer(backend Backend) *http.Server {
	s := &server{backend}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/events", s.events)
	s.handleFleet(mux)
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

func (s *server) openFor(r *http.Request) (*api.Result, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	var d time.Duration
	if req.For != "" {
		if d, err = config.ParseOpenTimeout(req.For); err != nil {
			return nil, &api.Error{Code: http.StatusBadRequest, Text: "for: " + err.Error()}
		}
	}
	if req.All {
		return nil, &api.Error{Code: http.StatusBadRequest, Text: "open: nobody can grant everybody: name a source"}
	}
	source, err := grant.ParseSource(req.Source)
	if err != nil {
		return nil, err
	}
	grant, err := s.backend.Open(req.Door, source, d)
	if err != nil {
		return nil, err
	}
	return &api.Result{Door: req.Door, Sources: []string{grant.Source()}, Until: grant.Until, Still: s.backend.AlwaysAllowed(source)}, nil
}

func (s *server) close(w http.ResponseWriter, r *http.Request) {
	result, err := s.closeFor(r)
	answer(w, result, err)
}

func (s *server) closeFor(r *http.Request) (*api.Result, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	if req.All == (req.Source != "") || req.For != "" {
		return nil, &api.Error{Code: http.StatusBadRequest, Text: "close: name a source, or all"}
	}
	var source grant.Source
	if !req.All {
		if source, err = grant.ParseSource(req.Source); err != nil {
			return nil, err
		}
	}
	revoked, err := s.backend.Revoke(req.Door, source, grant.Admin)
	if err != nil {
		return nil, err
	}
	still, _ := s.backend.WaysIn(req.Door, source) // what was revoked is told in any case
	result := &api.Result{Door: req.Door, Sources: []string{}, Still: still}
	for _, g := range revoked {
		result.Sources = append(result.Sources, g.Source())
	}
	return result, nil
}

func (s *server) unmute(w http.ResponseWriter, r *http.Request) {
	result, err := s.unmuteFor(r)
	answer(w, result, err)
}

func (s *server) unmuteFor(r *http.Request) (*api.Result, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	if req.All || req.For != "" || req.Door != "" {
		return nil, &api.Error{Code: http.StatusBadRequest, Text: "unmute: name a source, and nothing else"}
	}
	source, err := grant.ParseSource(req.Source)
	if err != nil {
		return nil, err
	}
	unmuted, err := s.backend.Unmute(source)
	if err != nil {
		return nil, err
	}
	result := &api.Result{Sources: []string{}}
	for _, u := range unmuted {
		result.Sources = append(result.Sources, u.String())
	}
	return result, nil
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	extendDeadline(w, time.Minute) // a large table takes long
	answer(w, struct{}{}, s.backend.Reload(r.Context()))
}

func (s *server) hooks(w http.ResponseWriter, _ *http.Request) {
	hooks := api.Hooks{Hooks: []api.Hook{}}
	for _, h := range s.backend.Hooks() {
		hooks.Hooks = append(hooks.Hooks, api.HookOf(h))
	}
	answer(w, hooks, nil)
}

// extendDeadline gives an answer another deadline than requestTimeout after the request.
// The deadline for reading has to go too: it would end the request's context.
func extendDeadline(w http.ResponseWriter, d time.Duration) {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Now().Add(d))
}
