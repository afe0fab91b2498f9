package profile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const exampleHost = `such as "server.example.org"`

// LookupHost returns a host, as people write it, in the form that resolvers take: an
// address without the brackets of a URL, with its zone if it has one (RFC 4007,
// section 11), or a name in ASCII (RFC 5891, section 5). Its errors continue a sentence
// that names the host.
func LookupHost(written string) (string, error) {
	h := written
	switch {
	case h == "":
		return "", errors.New("is empty: write whom to knock at, " + exampleHost)
	case strings.HasPrefix(h, "-") || strings.ContainsFunc(h, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }):
		return "", fmt.Errorf("%q is neither a name nor an address: write one without spaces, %s", h, exampleHost)
	}
	if inner, ok := strings.CutPrefix(h, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); !closed || err != nil || !a.Is6() {
			return "", fmt.Errorf("%q is not an IPv6 address in brackets: write one such as [2001:db8::1], without a port", h)
		}
		return inner, nil
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return h, nil
	}
	if i := strings.IndexFunc(h, foreign); i >= 0 {
		return "", fmt.Errorf("%q is neither a name nor an address: it has %q in it; write the host alone, %s", h, h[i:i+1], exampleHost)
	}
	if isASCII(h) {
		return h, nil
	}
	ascii, err := idna.Lookup.ToASCII(h)
	if err != nil {
		return "", fmt.Errorf("%q cannot be looked up as an internationalized name (%w): write it as it is registered, which begins with xn--", h, err)
	}
	return ascii, nil
}

// foreign reports whether a character of ASCII is in no name. An underscore is in some.
func foreign(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_'
	return r < utf8.RuneSelf && !letter
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
