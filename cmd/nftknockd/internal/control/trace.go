package control

import (
	"net/http"
	"net/netip"

	"nftknock/cmd/nftknockd/internal/api"
)

// trace says what the gate knows of a source.
func (s *server) trace(w http.ResponseWriter, r *http.Request) {
	source, err := netip.ParseAddr(r.URL.Query().Get("source"))
	if err != nil {
		answer(w, nil, &api.Error{Code: http.StatusBadRequest, Text: "invalid source: want an address, such as 203.0.113.7 or fe80::1%eth0"})
		return
	}
	trace, err := s.backend.Trace(source)
	answer(w, trace, err)
}
