package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/knock"
)

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
	answer(w, Fleet{f.URLs, []byte(key), string(credentials), f.Group, f.Doors, f.MaxGrant.Seconds()}, errors.Join(err, credentialsErr))
}

func (s *server) sharedGrants(w http.ResponseWriter, _ *http.Request) {
	grants, err := s.backend.SharedGrants()
	answer(w, grants, err)
}

func (s *server) share(w http.ResponseWriter, r *http.Request) {
	var wire []Shared
	err := readBody(r, &wire)
	if err == nil && len(wire) > maxShared {
		err = &Error{http.StatusBadRequest, fmt.Sprintf("%d decisions at once: want at most %d", len(wire), maxShared)}
	}
	if err == nil {
		err = s.backend.Share(sharedOf(wire))
	}
	answer(w, struct{}{}, err)
}

func sharedOf(wire []Shared) []grant.Shared {
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
		return &Error{http.StatusBadRequest, "invalid body: " + err.Error()}
	}
	return nil
}

// Fleet returns [fleet] of the configuration in force, and what is in the files that it names. The
// error is fs.ErrNotExist if there is none.
func (c *Client) Fleet() (f *config.Fleet, key, credentials config.Secret, err error) {
	var wire Fleet
	if err := c.ask(http.MethodGet, "fleet", nil, &wire); err != nil {
		if refused, ok := errors.AsType[*Error](err); ok && refused.Code == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return nil, "", "", err
	}
	f = &config.Fleet{URLs: wire.URLs, Group: wire.Group, Doors: wire.Doors, MaxGrant: time.Duration(wire.MaxGrant * float64(time.Second))}
	return f, config.Secret(wire.Key), config.Secret(wire.Credentials), nil
}

// Grants returns the grants of the doors that are shared.
func (c *Client) Grants() ([]status.Grant, error) {
	var grants []status.Grant
	return grants, c.ask(http.MethodGet, "fleet/grants", nil, &grants)
}

// Share has the daemon carry out what other gates have decided.
func (c *Client) Share(shared []grant.Shared) error {
	wire := make([]Shared, len(shared))
	for i, one := range shared {
		wire[i] = Shared{Door: one.Door, Source: one.Source, Gate: one.Gate, Revoked: one.Revoked}
		if one.Left != knock.Forever {
			left := one.Left.Seconds()
			wire[i].Left = &left
		}
	}
	return c.ask(http.MethodPost, "fleet/share", wire, &struct{}{})
}

// Spend has the daemon refuse what was used at other gates.
func (c *Client) Spend(spent []event.Spent) error {
	return c.ask(http.MethodPost, "fleet/spend", spent, &struct{}{})
}

// Report tells the daemon how the fleet is.
func (c *Client) Report(report status.Fleet) error {
	return c.ask(http.MethodPost, "fleet/report", report, &struct{}{})
}
