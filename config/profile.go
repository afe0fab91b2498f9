package config

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
	"unicode"

	"nftknock/knock"
)

// A Profile is what a client knows of a host that it knocks at.
type Profile struct {
	Name string
	Host string // a name or an address

	Sequence      []knock.Port  // at most [knock.MaxSequence]; empty only before a one-time code
	CloseSequence []knock.Port  // may be empty
	Delay         time.Duration // after each knock: 0 to a minute, default [DefaultDelay]
	Family        Family        // default AnyFamily
	Source        netip.Addr    // to knock from; the zero Addr: as the system chooses
	Wait          uint16        // the TCP port behind the door; 0: not known
	Mute          time.Duration // how long the daemon does not listen after wrong knocks: 0 to a day

	OTPSecret string // base32 without padding (RFC 4648, section 6); empty: no one-time codes
	OTPBase   uint16 // the first of the ports that codes are knocked on; 0: no one-time codes
}

// DefaultDelay is how long a client waits after each knock. Packets that are sent at once
// may overtake each other on their way.
const DefaultDelay = 50 * time.Millisecond

// Family is which addresses of a host are knocked at.
type Family string

const (
	AnyFamily Family = "any"
	IPv4      Family = "ipv4"
	IPv6      Family = "ipv6"
)

const (
	maxDelay       = time.Minute
	maxProfileMute = 24 * time.Hour
	maxOTPBase     = 65536 - knock.CodePorts

	minOTPSecret = 16 // bytes (RFC 4226, section 4, R6)
)

// The keys of a profile, in the order of the reference.
var profileKeys = []string{
	"host", "sequence", "close_sequence", "delay", "family", "source", "wait", "mute", "otp_secret", "otp_base",
}

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// readProfile reads one profile. What is wrong with it is reported.
func readProfile(s *section) Profile {
	p := Profile{Name: s.door, Delay: DefaultDelay, Family: AnyFamily}
	if !profileName.MatchString(p.Name) {
		s.doc.report(s.node.line(), p.Name, "", "%q is not a name for a profile: "+
			"write a letter or digit, then up to 63 letters, digits, dots, _ or -", p.Name)
	}
	s.refuseUnknown(profileKeys)
	s.require("host", "write whom to knock at, "+exampleHost)
	if _, ok := s.keys["otp_secret"]; ok {
		s.require("otp_base", "write the first of the ports that codes are knocked on")
	} else {
		s.require("sequence", "write the knocks that open the door, "+exampleKnocks)
	}
	if _, ok := s.keys["otp_base"]; ok {
		s.require("otp_secret", "write the secret that the codes come from, in base32")
	}
	read(s, "host", &p.Host, host)
	read(s, "sequence", &p.Sequence, knocks("write the knocks that open the door, "+exampleKnocks))
	read(s, "close_sequence", &p.CloseSequence, knocks("leave it out if there is nothing to knock"))
	read(s, "delay", &p.Delay, pause(maxDelay, `such as "50ms", from "0s" to "1m"`))
	read(s, "family", &p.Family, family)
	read(s, "source", &p.Source, source)
	read(s, "wait", &p.Wait, tcpPort)
	read(s, "mute", &p.Mute, pause(maxProfileMute, `such as "1m", from "0s" to "24h"`))
	read(s, "otp_secret", &p.OTPSecret, otpSecret)
	read(s, "otp_base", &p.OTPBase, otpBase)
	if p.Source.IsValid() && (p.Family == IPv4 && !p.Source.Is4() || p.Family == IPv6 && p.Source.Is4()) {
		s.fail("source", "is not an address of the family %q: change one of them", p.Family)
	}
	return p
}

// require reports a key that is missing.
func (s *section) require(key, right string) {
	if _, ok := s.keys[key]; !ok {
		s.fail(key, "is missing: %s", right)
	}
}

const exampleHost = `such as "server.example.org"`

func host(v any) (string, error) {
	h, ok := v.(string)
	switch {
	case !ok:
		return "", wrongKind(v, "a name or an address, "+exampleHost)
	case h == "":
		return "", errors.New("is empty: write whom to knock at, " + exampleHost)
	case strings.HasPrefix(h, "-") || strings.ContainsFunc(h, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }):
		return "", fmt.Errorf("%q is neither a name nor an address: write one without spaces, %s", h, exampleHost)
	}
	return h, nil
}

// pause returns a reader of durations that may be zero. It takes no numbers: of
// seconds they would be to the daemon, and of milliseconds to knock(1).
func pause(most time.Duration, right string) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		s, ok := v.(string)
		if !ok {
			return 0, wrongKind(v, "a duration "+right)
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not possible: write a duration %s", s, right)
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
		return "", wrongKind(v, right)
	}
	switch f := Family(s); f {
	case AnyFamily, IPv4, IPv6:
		return f, nil
	}
	return "", fmt.Errorf("%q is not possible: write %s", s, right)
}

func source(v any) (netip.Addr, error) {
	const right = `an address of this machine, such as "192.0.2.7"`
	s, ok := v.(string)
	if !ok {
		return netip.Addr{}, wrongKind(v, right)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%q is not possible: write %s", s, right)
	}
	return a.Unmap(), nil
}

func tcpPort(v any) (uint16, error) {
	n, err := number(1, 65535)(v)
	return uint16(n), err
}

func otpBase(v any) (uint16, error) {
	n, err := number(1, maxOTPBase)(v)
	return uint16(n), err
}

// otpSecret reads base32 as people copy it: in groups, in either case, with its
// padding or without.
func otpSecret(v any) (string, error) {
	const right = "the secret in base32: letters, and digits from 2 to 7"
	s, ok := v.(string)
	if !ok {
		return "", wrongKind(v, right)
	}
	s = strings.TrimRight(strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(s)), "=")
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
	switch {
	case err != nil:
		return "", errors.New("is not base32: write " + right)
	case len(secret) < minOTPSecret:
		return "", fmt.Errorf("has %d bytes: write one of %d or more", len(secret), minOTPSecret)
	}
	return s, nil
}
