package control

import (
	"encoding/json"
	"net/http"
	"net/netip"
)

// readRequest reads the body of a request.
func readRequest(r *http.Request) (Request, error) {
	var req Request
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&req); err != nil {
		const right = `{"door": "ssh", "source": "203.0.113.7"}`
		return req, &Error{http.StatusBadRequest, "the body has to be an object such as " + right + ": " + err.Error()}
	}
	return req, nil
}

// parseSource reads an address, which is a prefix of all its bits, or a prefix.
func parseSource(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil && !p.Addr().Is4In6() {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		const text = "source: write an address or a prefix, such as 203.0.113.7 or 2001:db8::/64"
		return netip.Prefix{}, &Error{http.StatusBadRequest, text}
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}
