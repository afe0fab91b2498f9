package profile

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nftknock/config/internal/doc"
)

// The functions of this file make a value of a profile out of what the toml package
// represents it by.

func host(v any) (string, error) {
	h, ok := v.(string)
	if !ok {
		return "", doc.WrongKind(v, "a name or an address, "+exampleHost)
	}
	_, err := LookupHost(h)
	return h, err
}

// pause returns a reader of durations that may be zero. It takes no numbers: of
// seconds they would be to the daemon, and of milliseconds to knock(1).
func pause(most time.Duration, right string) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		s, ok := v.(string)
		if !ok {
			return 0, doc.WrongKind(v, "a duration "+right)
		}
		d, err := doc.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("invalid value %q: want a duration %s", s, right)
		}
		if d < 0 || d > most {
			return 0, fmt.Errorf("%s is out of range: write a duration %s", s, right)
		}
		return d, nil
	}
}

func family(v any) (Family, error) {
	right := fmt.Sprintf("%q, %q or %q", AnyFamily, IPv4, IPv6)
	s, ok := v.(string)
	if !ok {
		return "", doc.WrongKind(v, right)
	}
	switch f := Family(s); f {
	case AnyFamily, IPv4, IPv6:
		return f, nil
	}
	return "", fmt.Errorf("invalid value %q: want %s", s, right)
}

func source(v any) (netip.Addr, error) {
	const right = `an address of this machine, such as "192.0.2.7"`
	s, ok := v.(string)
	if !ok {
		return netip.Addr{}, doc.WrongKind(v, right)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("invalid value %q: want %s", s, right)
	}
	return a.Unmap(), nil
}

func portNumber(v any) (uint16, error) {
	n, err := doc.Number(1, 65535)(v)
	return uint16(n), err
}

// otpSecret reads base32 as people copy it: see [parseSecret], and with dashes too.
func otpSecret(v any) (doc.Secret, error) {
	s, ok := v.(string)
	if !ok {
		return "", doc.WrongKind(v, "the secret in base32: letters, and digits from 2 to 7")
	}
	return doc.ParseBase32(strings.ReplaceAll(s, "-", ""))
}
