package control

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/trial"
	"nftknock/config"
)

// maxTrial is the greatest body of a trial: the file and its secrets, in base64 twice over.
const maxTrial = 8 << 20

func (s *server) trial(w http.ResponseWriter, r *http.Request) {
	var req api.TrialRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		answer(w, nil, &api.Error{Code: http.StatusBadRequest, Text: "invalid body: " + err.Error()})
		return
	}
	length, err := time.ParseDuration(req.For)
	if err != nil || length <= 0 || length > time.Hour {
		answer(w, nil, &api.Error{Code: http.StatusBadRequest, Text: "for: want a duration of up to 1h"})
		return
	}
	cfg, err := config.Restore(req.Snapshot)
	if err != nil {
		answer(w, nil, &api.Error{Code: http.StatusUnprocessableEntity, Text: err.Error()})
		return
	}
	t := &trialNews{w: w, out: http.NewResponseController(w)}
	who, err := s.backend.Trial(r.Context(), cfg, length, t)
	switch {
	case err != nil && !t.begun:
		answer(w, nil, err)
	case err != nil:
		t.send(api.TrialNews{Failed: err.Error()})
	default:
		t.send(api.TrialNews{Passed: &who})
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
	t.send(api.TrialNews{Left: length.Seconds()})
}

func (t *trialNews) Left(d time.Duration) {
	if time.Since(t.last) >= time.Second {
		t.send(api.TrialNews{Left: d.Seconds()})
	}
}

func (t *trialNews) Knocked(e event.Event) { t.send(api.TrialNews{Knocked: &e}) }
func (t *trialNews) End()                  {}

func (t *trialNews) send(news api.TrialNews) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	t.out.SetWriteDeadline(time.Now().Add(requestTimeout / 10))
	if json.NewEncoder(t.w).Encode(news) == nil {
		t.out.Flush()
	}
}
