package profile

import (
	"net/netip"
	"regexp"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// A Profile is what a client knows of a host that it knocks at.
type Profile struct {
	Name string
	Host string // a name or an address

	Sequence      []knock.Port  // at most [knock.MaxSequence]; empty only where a one-time code or a packet is all
	CloseSequence []knock.Port  // may be empty
	Delay         time.Duration // after each knock: 0 to a minute, default [DefaultDelay]
	Family        Family        // default AnyFamily
	Source        netip.Addr    // to knock from; the zero Addr: as the system chooses
	Wait          uint16        // the TCP port behind the door; 0: not known
	Mute          time.Duration // how long the daemon does not listen after wrong knocks: 0 to a day

	OTPSecret Secret // base32 without padding (RFC 4648, section 6); empty: no one-time codes
	OTPBase   uint16 // the first of the ports that codes are knocked on; 0: no one-time codes

	SPAKeyFile string // the file with the keys of single packet authorization; empty: none
	SPAPort    uint16 // the UDP port that packets go to; default [DefaultSPAPort]

	// SPAAddress is whom a packet asks to let in. The zero Addr: the address it is sent from;
	// unspecified: the one that it arrives from, if the door allows that.
	SPAAddress netip.Addr
}

// DefaultSPAPort is fwknop's.
const DefaultSPAPort = 62201

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
	maxDelay = time.Minute
	maxMute  = 24 * time.Hour // the daemon's own limit
)

// The keys of a profile, in the order of the reference.
var profileKeys = []string{
	"host", "sequence", "close_sequence", "delay", "family", "source", "wait", "mute", "otp_secret", "otp_base",
	"spa_key_file", "spa_port", "spa_address",
}

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// New returns a profile of a name, with the defaults.
func New(name string) Profile { return Profile{Name: name, Delay: DefaultDelay, Family: AnyFamily} }

// Rename gives a profile another name, and its keys the file that goes with it.
func (p *Profile) Rename(name string) {
	p.Name = name
	if p.SPAKeyFile != "" {
		p.SPAKeyFile = spaKeyFile(name)
	}
}

// readProfile reads one profile. What is wrong with it is reported.
func readProfile(s *doc.Section) Profile {
	p := New(s.Owner)
	if !profileName.MatchString(p.Name) {
		s.Doc.Report(s.Node.Line(), p.Name, "", "%q is not a name for a profile: "+
			"write a letter or digit, then up to 63 letters, digits, dots, _ or -", p.Name)
	}
	s.RefuseUnknown(profileKeys)
	s.Require("host", "write whom to knock at, "+exampleHost)
	ifEmpty := "write the knocks that open the door, " + doc.ExampleKnocks
	switch {
	case s.Has("otp_secret"):
		s.Require("otp_base", "write the first of the ports that codes are knocked on")
		ifEmpty = "leave it out if a code is all that is knocked"
	case s.Has("spa_key_file"):
		ifEmpty = "leave it out if a packet is all that is sent"
	default:
		s.Require("sequence", ifEmpty)
	}
	if s.Has("otp_base") {
		s.Require("otp_secret", "write the secret that the codes come from, in base32")
	}
	doc.Read(s, "host", &p.Host, host)
	doc.Read(s, "sequence", &p.Sequence, doc.Knocks(ifEmpty))
	doc.Read(s, "close_sequence", &p.CloseSequence, doc.Knocks("leave it out if there is nothing to knock"))
	doc.Read(s, "delay", &p.Delay, pause(maxDelay, `such as "50ms", from "0s" to "1m"`))
	doc.Read(s, "family", &p.Family, family)
	doc.Read(s, "source", &p.Source, source)
	doc.Read(s, "wait", &p.Wait, portNumber)
	doc.Read(s, "mute", &p.Mute, pause(maxMute, `such as "1m", from "0s" to "24h"`))
	doc.Read(s, "otp_secret", &p.OTPSecret, otpSecret)
	doc.Read(s, "otp_base", &p.OTPBase, doc.CodeBase)
	if s.Has("spa_port") || s.Has("spa_address") {
		s.Require("spa_key_file", "write the file with the keys, such as \"alice.spa\"")
	}
	if s.Has("spa_key_file") {
		p.SPAPort = DefaultSPAPort
		s.Require("wait", "write the port that the packet is to open")
	}
	doc.Read(s, "spa_key_file", &p.SPAKeyFile, func(v any) (string, error) { return doc.FileName(s.Doc.Folder(), v, "alice.spa") })
	doc.Read(s, "spa_port", &p.SPAPort, portNumber)
	doc.Read(s, "spa_address", &p.SPAAddress, spaAddress)
	if p.Source.IsValid() && (p.Family == IPv4 && !p.Source.Is4() || p.Family == IPv6 && p.Source.Is4()) {
		s.Fail("source", "is not an address of the family %q: change one of them", p.Family)
	}
	return p
}

// ReadSPAKey reads the file with the keys of single packet authorization, in the format of
// fwknop's --key-gen. Nobody but its owner may have access to it.
func (p Profile) ReadSPAKey() (Secret, error) {
	return doc.ReadSecretFile(p.SPAKeyFile, `"nftknockd spa new" on the server makes it`)
}
