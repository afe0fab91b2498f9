package control

import (
	"net/http"
	"net/netip"
	"net/url"

	"nftknock/cmd/nftknockd/internal/status"
)

// trace says what the gate knows of a source.
func (s *server) trace(w http.ResponseWriter, r *http.Request) {
	source, err := netip.ParseAddr(r.URL.Query().Get("source"))
	if err != nil {
		answer(w, nil, &Error{http.StatusBadRequest, "invalid source: want an address, such as 203.0.113.7 or fe80::1%eth0"})
		return
	}
	trace, err := s.backend.Trace(source)
	answer(w, trace, err)
}

// Trace asks what the daemon knows of a source.
func (c *Client) Trace(source string) (*status.Trace, error) {
	var t status.Trace
	return &t, c.ask(http.MethodGet, "trace?"+url.Values{"source": {source}}.Encode(), nil, &t)
}
