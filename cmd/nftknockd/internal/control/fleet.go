package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/knock"
)

const (
	maxShared = 1024    // decisions in a request
	maxFleet  = 1 << 20 // bytes of its body
)

func (s *server) handleFleet(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/fleet", s.fleet)
	mux.HandleFunc("GET /v1/fleet/grants", s.sharedGrants)
	mux.HandleFunc("POST /v1/fleet/share", s.share)
	mux.HandleFunc("POST /v1/fleet/spend", s.spend)
	mux.HandleFunc("POST /v1/fleet/report", s.reportFleet)
}

func (s *server) fleet(w http.ResponseWriter, _ *http.Request) {
	f := s.backend.Fleet()
	if f == nil {
		answer(w, nil, gate.ErrNoFleet)
		return
	}
	key, err := f.ReadKey()
	credentials, credentialsErr := f.ReadCredentials()
	answer(w, api.Fleet{
		URLs: f.URLs, Key: []byte(key), Credentials: string(credentials), Group: f.Group, Doors: f.Doors, MaxGrant: f.MaxGrant.Seconds(),
	}, errors.Join(err, credentialsErr))
}

func (s *server) sharedGrants(w http.ResponseWriter, _ *http.Request) {
	grants, err := s.backend.SharedGrants()
	answer(w, grants, err)
}

func (s *server) share(w http.ResponseWriter, r *http.Request) {
	var wire []api.Shared
	err := readBody(r, &wire)
	if err == nil && len(wire) > maxShared {
		err = &api.Error{Code: http.StatusBadRequest, Text: fmt.Sprintf("%d decisions at once: want at most %d", len(wire), maxShared)}
	}
	if err == nil {
		err = s.backend.Share(sharedOf(wire))
	}
	answer(w, struct{}{}, err)
}

func sharedOf(wire []api.Shared) []grant.Shared {
	shared := make([]grant.Shared, len(wire))
	for i, one := range wire {
		shared[i] = grant.Shared{Door: one.Door, Source: one.Source, Gate: one.Gate, Revoked: one.Revoked, Left: knock.Forever}
		if one.Left != nil {
			const longest = 400 * 24 * 3600
			shared[i].Left = time.Duration(min(*one.Left, longest) * float64(time.Second))
		}
	}
	return shared
}

func (s *server) spend(w http.ResponseWriter, r *http.Request) {
	var spent []event.Spent
	err := readBody(r, &spent)
	if err == nil {
		err = s.backend.Spend(r.Context(), spent)
	}
	answer(w, struct{}{}, err)
}

func (s *server) reportFleet(w http.ResponseWriter, r *http.Request) {
	var report status.Fleet
	err := readBody(r, &report)
	if err == nil {
		s.backend.ReportFleet(report)
	}
	answer(w, struct{}{}, err)
}

// readBody reads what a companion sends.
func readBody(r *http.Request, body any) error {
	if err := json.NewDecoder(r.Body).Decode(body); err != nil {
		return &api.Error{Code: http.StatusBadRequest, Text: "invalid body: " + err.Error()}
	}
	return nil
}
