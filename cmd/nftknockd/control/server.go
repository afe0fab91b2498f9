package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/netutil"

	"nftknock/config"
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

type server struct{ desk Desk }

func (s *server) status(w http.ResponseWriter, _ *http.Request) {
	status, err := s.desk.Status()
	answer(w, status, err)
}

func (s *server) open(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	var d time.Duration
	if req.For != "" {
		if d, err = config.ParseOpenTimeout(req.For); err != nil {
			answer(w, nil, &Error{http.StatusBadRequest, "for: " + err.Error()})
			return
		}
	}
	source, err := ParseSource(req.Source)
	if err != nil || req.All {
		answer(w, nil, &Error{http.StatusBadRequest, "open: name one source: an address or a prefix, such as 203.0.113.7 or 2001:db8::/64"})
		return
	}
	result, err := s.desk.Open(req.Door, source, d)
	answer(w, result, err)
}

func (s *server) close(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	var source netip.Prefix
	if !req.All {
		source, err = ParseSource(req.Source)
	}
	if err != nil || req.All && req.Source != "" || req.For != "" {
		answer(w, nil, &Error{http.StatusBadRequest, "close: name one source, an address or a prefix, such as 203.0.113.7 or 2001:db8::/64, or all"})
		return
	}
	result, err := s.desk.Close(req.Door, source)
	answer(w, result, err)
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	takeTime(w, time.Minute) // a large table does
	answer(w, struct{}{}, s.desk.Reload(r.Context()))
}

// events sends what happens, an object a line, until the client has enough.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	var kinds []Kind
	for _, name := range r.URL.Query()["kind"] {
		if !slices.Contains(Kinds, Kind(name)) {
			answer(w, nil, &Error{http.StatusBadRequest, fmt.Sprintf("no kind of event is called %q", name)})
			return
		}
		kinds = append(kinds, Kind(name))
	}
	watcher, err := s.desk.Watch(kinds...)
	if err != nil {
		answer(w, nil, &Error{http.StatusServiceUnavailable, err.Error()})
		return
	}
	defer watcher.Close()
	takeTime(w, patience)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	out.Flush() // so that the client knows that it watches
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-watcher.Events():
			out.SetWriteDeadline(time.Now().Add(patience))
			if lines.Encode(e) != nil || out.Flush() != nil {
				return
			}
		}
	}
}

// takeTime gives an answer another deadline than patience after the request. That for
// reading has to go too: it would end the request's context.
func takeTime(w http.ResponseWriter, d time.Duration) {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{})
	c.SetWriteDeadline(time.Now().Add(d))
}

// readRequest reads the body of a request, which has to be what curl sends with
// -H 'Content-Type: application/json': a web page, which a browser might be
// made to send here, cannot say that of itself.
func readRequest(r *http.Request) (Request, error) {
	var req Request
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return req, &Error{http.StatusUnsupportedMediaType, "the body has to be JSON: set Content-Type to application/json"}
	}
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&req); err != nil {
		return req, &Error{http.StatusBadRequest, `the body has to be an object such as {"door": "ssh", "source": "203.0.113.7"}: ` + err.Error()}
	}
	return req, nil
}

// ParseSource reads an address, which is a prefix of all its bits, or a prefix.
func ParseSource(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, &Error{http.StatusBadRequest, "neither an address nor a prefix, such as 203.0.113.7 or 2001:db8::/64"}
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, &Error{http.StatusBadRequest, "a prefix of mapped addresses: write it as IPv4"}
	}
	return p.Masked(), nil
}

// answer sends a result, or why there is none.
func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{http.StatusInternalServerError, err.Error()}
		}
		w.WriteHeader(e.Code)
		result = e
	}
	json.NewEncoder(w).Encode(result) // if it cannot be sent, the client has gone
}
