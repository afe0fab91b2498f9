// Package api is what goes over the control socket, which CONTROL.md describes, and the client
// for it.
package api

import (
	"net/url"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
)

// DefaultSocket is where the daemon listens unless it is told otherwise.
const DefaultSocket = "/run/nftknockd/control.sock"

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
	Still   []status.Way `json:"still,omitempty"` // of close: what else lets them in to the door's ports; of open: always_allow alone
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

// HookOf returns a hook as it goes over the socket.
func HookOf(h config.Hook) Hook {
	return Hook{h.Name, h.Door, h.On, h.Run, h.Timeout.Seconds()}
}

// Config returns it as the configuration has it.
func (h Hook) Config() config.Hook {
	return config.Hook{Name: h.Name, Door: h.Door, On: h.On, Run: h.Run, Timeout: time.Duration(h.Timeout * float64(time.Second))}
}

// An Error is why a request was not fulfilled.
type Error struct {
	Code int    `json:"-"`     // of HTTP
	Text string `json:"error"` // may be several lines: the problems of a configuration
}

func (e *Error) Error() string { return e.Text }

// A TrialRequest is the body of trial.
type TrialRequest struct {
	Snapshot []byte `json:"snapshot"` // of the configuration to try
	For      string `json:"for"`      // a duration
}

// TrialNews is what the daemon says of a trial, about each second. The last one has Passed
// or Failed.
type TrialNews struct {
	Left    float64      `json:"left_seconds,omitempty"`
	Knocked *event.Event `json:"knocked,omitempty"` // who was let in, by a knock
	Passed  *event.Event `json:"passed,omitempty"`  // by whose knock
	Failed  string       `json:"failed,omitempty"`  // why
}

// Fleet is a [config.Fleet].
type Fleet struct {
	URLs        []string `json:"urls"`
	Key         []byte   `json:"key"`                   // the group's, decoded
	Credentials string   `json:"credentials,omitempty"` // of NATS: what is in the file
	Group       string   `json:"group"`
	Doors       []string `json:"doors,omitempty"` // empty: all
	MaxGrant    float64  `json:"max_grant_seconds"`
}

// Shared is what another gate has decided: a [grant.Shared].
type Shared struct {
	Door    string   `json:"door"`
	Source  string   `json:"source"`
	Gate    string   `json:"gate"`
	Revoked bool     `json:"revoked,omitempty"`
	Left    *float64 `json:"left_seconds,omitempty"` // of a grant; none: until revoked
}

// A Watch says what to watch.
type Watch struct {
	Kinds    []string // of events; none: all
	Source   string   // an address or a prefix: only what is about it; empty: everything
	Attempts bool     // the steps of attempts, too
}

func (w Watch) query() string {
	q := url.Values{"kind": w.Kinds}
	if w.Source != "" {
		q.Set("source", w.Source)
	}
	if w.Attempts {
		q.Set("attempts", "true")
	}
	return q.Encode()
}

// PositionHeader has the ID of the event after which a subscription begins.
const PositionHeader = "Last-Event-ID"
