package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"nftknock/config"
)

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
	if req.All {
		answer(w, nil, &Error{http.StatusBadRequest, "open: nobody can let in everybody: name a source"})
		return
	}
	source, err := parseSource(req.Source)
	if err != nil {
		answer(w, nil, err)
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
	if req.All == (req.Source != "") || req.For != "" {
		answer(w, nil, &Error{http.StatusBadRequest, "close: name a source, or all"})
		return
	}
	var source netip.Prefix
	if !req.All {
		if source, err = parseSource(req.Source); err != nil {
			answer(w, nil, err)
			return
		}
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
