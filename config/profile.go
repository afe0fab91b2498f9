package config

import (
	"net/netip"
	"regexp"
	"time"

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

	OTPSecret Secret // base32 without padding (RFC 4648, section 6); empty: no one-time codes
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

const maxDelay = time.Minute

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
	ifEmpty := "write the knocks that open the door, " + exampleKnocks
	if _, ok := s.keys["otp_secret"]; ok {
		s.require("otp_base", "write the first of the ports that codes are knocked on")
		ifEmpty = "leave it out if a code is all that is knocked"
	} else {
		s.require("sequence", ifEmpty)
	}
	if _, ok := s.keys["otp_base"]; ok {
		s.require("otp_secret", "write the secret that the codes come from, in base32")
	}
	read(s, "host", &p.Host, host)
	read(s, "sequence", &p.Sequence, knocks(ifEmpty))
	read(s, "close_sequence", &p.CloseSequence, knocks("leave it out if there is nothing to knock"))
	read(s, "delay", &p.Delay, pause(maxDelay, `such as "50ms", from "0s" to "1m"`))
	read(s, "family", &p.Family, family)
	read(s, "source", &p.Source, source)
	read(s, "wait", &p.Wait, tcpPort)
	read(s, "mute", &p.Mute, pause(maxMute, `such as "1m", from "0s" to "24h"`))
	read(s, "otp_secret", &p.OTPSecret, otpSecret)
	read(s, "otp_base", &p.OTPBase, codeBase)
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
