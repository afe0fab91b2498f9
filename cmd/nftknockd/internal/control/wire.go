package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
)

// A Request is the body of open, close and unmute.
type Request struct {
	Door   string `json:"door,omitempty"`   // not of unmute
	Source string `json:"source,omitempty"` // as [grant.ParseSource] reads it
	For    string `json:"for,omitempty"`    // of open: a duration as open_timeout has it; empty: the door's
	All    bool   `json:"all,omitempty"`    // of close: instead of a source
}

// A Result says whose grants were made or revoked, or who was muted.
type Result struct {
	Door    string       `json:"door,omitempty"`
	Sources []string     `json:"sources"`
	Until   time.Time    `json:"until,omitzero"`  // of open; zero: until revoked
	Still   []status.Way `json:"still,omitempty"` // of close: what else lets them in to the door's ports
}

// Hooks are what is run when.
type Hooks struct {
	Hooks []Hook `json:"hooks"` // in the order of the configuration
}

// A Hook is a [config.Hook].
type Hook struct {
	Name    string             `json:"name"`
	Door    string             `json:"door,omitempty"` // empty: any
	On      []config.HookEvent `json:"on"`
	Run     []string           `json:"run"` // with its placeholders
	Timeout float64            `json:"timeout_seconds"`
}

func wireHook(h config.Hook) Hook {
	return Hook{h.Name, h.Door, h.On, h.Run, h.Timeout.Seconds()}
}

func (h Hook) config() config.Hook {
	return config.Hook{Name: h.Name, Door: h.Door, On: h.On, Run: h.Run, Timeout: time.Duration(h.Timeout * float64(time.Second))}
}

// An Error is why a request was not fulfilled.
type Error struct {
	Code int    `json:"-"`     // of HTTP
	Text string `json:"error"` // may be several lines: the problems of a configuration
}

func (e *Error) Error() string { return e.Text }

// readRequest reads the body of a request.
func readRequest(r *http.Request) (Request, error) {
	var req Request
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&req); err != nil {
		const right = `{"door": "ssh", "source": "203.0.113.7"}`
		return req, &Error{http.StatusBadRequest, "invalid body: want an object such as " + right + ": " + err.Error()}
	}
	return req, nil
}

// answer sends a result, or why there is none.
func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		refused := errorOf(err)
		w.WriteHeader(refused.Code)
		result = refused
	}
	json.NewEncoder(w).Encode(result) // if it cannot be sent, the client has gone
}

// errorOf gives an error of the gate its code.
func errorOf(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	code := http.StatusInternalServerError
	switch {
	case is[*config.NoDoorError](err), errors.Is(err, gate.ErrNoFleet):
		code = http.StatusNotFound
	case is[*grant.PrefixError](err):
		code = http.StatusBadRequest
	case is[*grant.OverlapError](err), is[*grant.StillGrantedError](err), errors.Is(err, gate.ErrOnTrial):
		code = http.StatusConflict
	case is[*gate.ReloadError](err):
		code = http.StatusUnprocessableEntity
	case errors.Is(err, event.ErrGone):
		code = http.StatusGone
	case errors.Is(err, event.ErrTooMany):
		code = http.StatusServiceUnavailable
	}
	return &Error{code, err.Error()}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
