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
)

// A Desk does what is asked for over the socket. Its methods are called from many
// goroutines. Their errors are of type *Error where it matters what went wrong.
type Desk interface {
	Status() (*Status, error)
	// Open lets a source in, for the door's open_timeout if the duration is 0.
	Open(door string, source netip.Prefix, d time.Duration) (*Result, error)
	// Close puts out who is let in from a source, or everybody if it is not valid.
	Close(door string, source netip.Prefix) (*Result, error)
	// Reload reads the configuration again.
	Reload(context.Context) error
	Watch(...Kind) (*Watcher, error)
}

// What a client may use of the daemon: a request fits into these, or is no
// administrator's.
const (
	maxConnections = 128 // others wait
	maxHeader      = 8 << 10
	maxBody        = 4 << 10
	patience       = 10 * time.Second // for a client to send, and to take, what it has to
)

// NewServer returns a server for a listener of [Listen]. It also serves metrics.
func NewServer(desk Desk, metrics http.Handler) *http.Server {
	s := &server{desk}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("POST /v1/open", s.open)
	mux.HandleFunc("POST /v1/close", s.close)
	mux.HandleFunc("POST /v1/reload", s.reload)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.Handle("GET /metrics", metrics)
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
		ReadHeaderTimeout: patience / 2,
		ReadTimeout:       patience,
		WriteTimeout:      patience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // whoever connects could fill it
	}
	server.SetKeepAlivesEnabled(false) // a connection that is done with makes room for the next one
	new(crowd).keep(server)
	return server
}

// Limit bounds how many connections are served at once.
func Limit(l net.Listener) net.Listener { return netutil.LimitListener(l, maxConnections) }
