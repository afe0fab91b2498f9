package control

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

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

// maxTrial is the greatest body of a trial: the file and its secrets, in base64 twice over.
const maxTrial = 8 << 20

func (s *server) trial(w http.ResponseWriter, r *http.Request) {
	var req TrialRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		answer(w, nil, &Error{http.StatusBadRequest, "invalid body: " + err.Error()})
		return
	}
	length, err := time.ParseDuration(req.For)
	if err != nil || length <= 0 || length > time.Hour {
		answer(w, nil, &Error{http.StatusBadRequest, "for: want a duration of up to 1h"})
		return
	}
	cfg, err := config.Restore(req.Snapshot)
	if err != nil {
		answer(w, nil, &Error{http.StatusUnprocessableEntity, err.Error()})
		return
	}
	t := &trialNews{w: w, out: http.NewResponseController(w)}
	who, err := s.backend.Trial(r.Context(), cfg, length, t)
	switch {
	case err != nil && !t.begun:
		answer(w, nil, err)
	case err != nil:
		t.send(TrialNews{Failed: err.Error()})
	default:
		t.send(TrialNews{Passed: &who})
	}
}

// trialNews sends how a trial goes on. A client that does not take it does not hold it up.
type trialNews struct {
	w     http.ResponseWriter
	out   *http.ResponseController
	begun bool

	mu   sync.Mutex
	last time.Time
}

var _ trial.Countdown = (*trialNews)(nil)

func (t *trialNews) Begin(_ *config.Config, length time.Duration) {
	t.begun = true
	t.out.SetReadDeadline(time.Time{}) // which would end the request's context
	t.w.Header().Set("Content-Type", "application/x-ndjson")
	t.send(TrialNews{Left: length.Seconds()})
}

func (t *trialNews) Left(d time.Duration) {
	if time.Since(t.last) >= time.Second {
		t.send(TrialNews{Left: d.Seconds()})
	}
}

func (t *trialNews) Knocked(e event.Event) { t.send(TrialNews{Knocked: &e}) }
func (t *trialNews) End()                  {}

func (t *trialNews) send(news TrialNews) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	t.out.SetWriteDeadline(time.Now().Add(requestTimeout / 10))
	if json.NewEncoder(t.w).Encode(news) == nil {
		t.out.Flush()
	}
}
