package control

import (
	"encoding/json"
	"errors"
	"net/http"

	"nftknock/cmd/nftknockd/internal/api"
	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/gate"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
)

// readRequest reads the body of a request.
func readRequest(r *http.Request) (api.Request, error) {
	var req api.Request
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&req); err != nil {
		const right = `{"door": "ssh", "source": "203.0.113.7"}`
		return req, &api.Error{Code: http.StatusBadRequest, Text: "invalid body: want an object such as " + right + ": " + err.Error()}
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
func errorOf(err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
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
	return &api.Error{Code: code, Text: err.Error()}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
