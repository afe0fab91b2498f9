package spa

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"nftknock/knock"
)

// The types of messages that are told apart (fwknop's lib/fko.h, fko_message_type_t).
const (
	typeCommand       = "0"
	typeAccess        = "1"
	typeNAT           = "2"
	typeAccessTimeout = "3"
	typeNATTimeout    = "4"
	typeLocalNAT      = "5"
	typeLocalNATTime  = "6"
)

// Bounds of fields, in characters as they are sent (fwknop's lib/fko_limits.h).
const (
	randomDigits = 16
	maxUser      = 64 // in base64: MaxUser
	maxTime      = 12
	maxVersion   = 8
	maxMessage   = 256
	maxTimeout   = 65535 // seconds
)

// MaxUser is how long the name of a user can be, in bytes.
const MaxUser = 48

// beginsRandom reports whether a message begins as every message does. Who decrypts with a
// wrong key knows by this.
func beginsRandom(plain []byte) bool {
	return len(plain) > randomDigits && plain[randomDigits] == ':' && isDigits(string(plain[:randomDigits]))
}

// parse reads a message.
func (p *Packet) parse(plain string) Reason {
	end := strings.LastIndexByte(plain, ':')
	if end < 0 {
		return Malformed
	}
	if !digestIsRight(plain[:end], plain[end+1:]) {
		return Digest
	}
	fields := strings.SplitN(plain[:end], ":", 16)
	if len(fields) < 6 {
		return Malformed
	}
	user, ok := parseUser(fields[1])
	if len(fields[0]) != randomDigits || !isDigits(fields[0]) || !ok {
		return Malformed
	}
	p.User = user
	made, ok := parseTime(fields[2])
	if !ok || !isVersion(fields[3]) {
		return Malformed
	}
	p.Time = made

	extra := 0
	switch fields[4] {
	case typeAccess:
	case typeAccessTimeout:
		extra = 1
	case typeCommand:
		return Command
	case typeNAT, typeNATTimeout, typeLocalNAT, typeLocalNATTime:
		return NAT
	default:
		return Malformed
	}
	if len(fields) != 6+extra {
		return Malformed
	}
	if extra == 1 {
		seconds, err := strconv.ParseUint(fields[6], 10, 32)
		if err != nil || !isDigits(fields[6]) || seconds > maxTimeout {
			return Malformed
		}
		p.Timeout = time.Duration(seconds) * time.Second
	}
	if len(fields[5]) > maxMessage {
		return Malformed
	}
	message, ok := decodeText(fields[5])
	if !ok {
		return Malformed
	}
	address, list, ok := strings.Cut(message, ",")
	if !ok {
		return Malformed
	}
	var err error
	if p.Source, err = netip.ParseAddr(address); err != nil || p.Source.Zone() != "" {
		p.Source = netip.Addr{}
		return Address
	}
	p.Source = p.Source.Unmap()
	for pair := range strings.SplitSeq(list, ",") {
		port, ok := parsePort(pair)
		if !ok {
			p.Ports = nil
			return Ports
		}
		p.Ports = append(p.Ports, port)
	}
	return 0
}

// digestIsRight compares without regard to time: the HMAC was right.
func digestIsRight(text, digest string) bool {
	switch len(digest) {
	case sha256Text:
		sum := sha256.Sum256([]byte(text))
		return encoding.EncodeToString(sum[:]) == digest
	case sha384Text:
		sum := sha512.Sum384([]byte(text))
		return encoding.EncodeToString(sum[:]) == digest
	case sha512Text:
		sum := sha512.Sum512([]byte(text))
		return encoding.EncodeToString(sum[:]) == digest
	}
	return false
}

func parseUser(field string) (string, bool) {
	if len(field) > maxUser {
		return "", false
	}
	user, ok := decodeText(field)
	return user, ok && isUser(user)
}

// decodeText decodes base64, in which Go's decoder would pass over line breaks.
func decodeText(field string) (string, bool) {
	data, err := encoding.DecodeString(field)
	return string(data), err == nil && inAlphabet([]byte(field))
}

// isUser is fwknop's validate_username.
func isUser(user string) bool {
	for _, c := range []byte(user) {
		if c < ' ' || c > '~' || strings.IndexByte(`"/\[]:;|=,+*?<>`, c) >= 0 {
			return false
		}
	}
	return user != ""
}

func parseTime(field string) (time.Time, bool) {
	seconds, err := strconv.ParseInt(field, 10, 64)
	if err != nil || !isDigits(field) || len(field) > maxTime {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

// isVersion accepts every version since fwknop has HMACs. They differ in nothing that an
// access packet holds, and fwknop's server does not look.
func isVersion(field string) bool {
	if len(field) > maxVersion || !strings.HasPrefix(field, "2.") && !strings.HasPrefix(field, "3.") {
		return false
	}
	return isDigits(strings.ReplaceAll(field, ".", ""))
}

// parsePort reads "tcp/22".
func parsePort(pair string) (knock.Port, bool) {
	proto, number, _ := strings.Cut(pair, "/")
	port := knock.Port{Proto: knock.TCP}
	switch proto {
	case "tcp":
	case "udp":
		port.Proto = knock.UDP
	default:
		return knock.Port{}, false
	}
	n, err := strconv.ParseUint(number, 10, 16)
	port.Number = uint16(n)
	return port, err == nil && n != 0 && isDigits(number)
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// text returns the message that asks for a request, up to its digest.
func (r Request) text(random string, now time.Time) (string, error) {
	if !isUser(r.User) || len(r.User) > MaxUser {
		return "", fmt.Errorf("user name %q: want 1 to %d printable ASCII characters without \"/\\[]:;|=,+*?<>", r.User, MaxUser)
	}
	if !r.Source.IsValid() || r.Source.Zone() != "" {
		return "", fmt.Errorf("address %q: want an IPv4 or IPv6 address without zone", r.Source)
	}
	message := r.Source.Unmap().String()
	if r.Source.IsUnspecified() {
		message = "0.0.0.0" // fwknop's only word for it
	}
	if len(r.Ports) == 0 {
		return "", fmt.Errorf("no port to ask for")
	}
	for _, port := range r.Ports {
		if port.Number == 0 || port.Proto != knock.TCP && port.Proto != knock.UDP {
			return "", fmt.Errorf("port %s: want a port from 1 to 65535 of TCP or UDP", port)
		}
		message += fmt.Sprintf(",%s/%d", port.Proto, port.Number)
	}
	kind, timeout := typeAccess, ""
	if r.Timeout != 0 {
		if r.Timeout < time.Second || r.Timeout > maxTimeout*time.Second || r.Timeout%time.Second != 0 {
			return "", fmt.Errorf("timeout %s: want whole seconds, 1 to %d", r.Timeout, maxTimeout)
		}
		kind, timeout = typeAccessTimeout, fmt.Sprintf(":%d", r.Timeout/time.Second)
	}
	return fmt.Sprintf("%s:%s:%d:%s:%s:%s%s", random, encoding.EncodeToString([]byte(r.User)), now.Unix(),
		version, kind, encoding.EncodeToString([]byte(message)), timeout), nil
}
