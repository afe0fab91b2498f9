// Package spa reads and writes single packets that ask a door to let somebody in, in the
// format of fwknop's access packets (version 3.0.0 of its protocol). It is pure: the time
// is an argument, and the only thing it touches is the system's source of randomness, when
// it makes a packet or a key.
//
// # The packet
//
// A packet is text: an encrypted message in base64, and the HMAC of that.
//
//	base64("Salted__" salt AES-256-CBC(message))[10:] base64(HMAC)
//
// Both lack the padding of base64. The first ten characters, which "Salted__" always turns
// into, are not sent; the HMAC covers them. The key and the initialization vector of AES
// come from the encryption key and the salt, as OpenSSL's EVP_BytesToKey makes them with
// MD5 and one round. The message has fields between colons:
//
//	random:user:time:version:type:address,proto/port,…[:timeout]:digest
//
// random are 16 digits, user and the address with its ports are base64, time is in seconds
// of Unix, the digest is the base64 SHA-2 of all before its colon. fwknop's lib/fko_encode.c,
// lib/cipher_funcs.c and lib/fko_hmac.c are where this is from.
//
// # The order of the checks
//
// [Keys.Open] looks at size and alphabet first, then at the HMAC with each key, in constant
// time for each, and decrypts nothing before one is right. Then come padding, digest,
// fields and age. What fails has a [Reason]. A packet that was accepted is accepted again by
// the same rules: whoever opens it has to remember its [Packet.Digest].
//
// # What is accepted
//
// Requests for access (fwknop's types 1 and 3) with an HMAC-SHA256 or HMAC-SHA512, to TCP
// and UDP ports, for an IPv4 address or, unlike fwknop's server, an IPv6 address. Commands,
// NAT, GPG, MD5 and SHA-1, and packets without an HMAC are refused.
package spa

import (
	"net/netip"
	"time"

	"nftknock/knock"
)

// A Request is what a packet asks for.
type Request struct {
	User    string        // what the client says its user is called; proves nothing
	Source  netip.Addr    // who wants to be let in; unspecified (0.0.0.0, ::): where the packet came from
	Ports   []knock.Port  // at least one
	Timeout time.Duration // how long, in whole seconds; 0: as long as the door does
}

// A Packet is what [Keys.Open] read. If it returned an error as well, the packet holds what
// was known by then: Key and Digest as soon as the HMAC was right.
type Packet struct {
	Request
	Key    string    // name of the key that made the HMAC
	Time   time.Time // when the client says it made the packet
	Digest [32]byte  // identifies the packet: SHA-256 of what the HMAC covers, which no stranger can change
}

// A Reason tells why a packet was refused. It is the error that [Keys.Open] returns.
type Reason uint8

// The reasons. Before [Undecipherable], the packet has no right HMAC, and anybody can have sent
// it; from there on, the holder of a key has.
const (
	Size     Reason = iota + 1 // no access packet is as long
	Encoding                   // not base64 of an encrypted message
	NoKey                      // no key makes its HMAC
	NoHMAC                     // Diagnose: encrypted with a key, but without HMAC
	HMACType                   // Diagnose: a key makes its HMAC, but with a hash that is refused
	GPG                        // Diagnose: a key makes its HMAC, but GPG encrypted it

	Undecipherable // the encryption key is another than the sender's, or another mode of AES
	Digest         // its digest is wrong, or MD5 or SHA-1
	Malformed      // its fields are not those of an access packet
	Command        // asks to run a command
	NAT            // asks to forward a port
	Address        // its address is none, or has a zone
	Ports          // its ports are none, or of protocols other than TCP and UDP
	Stale          // made longer ago than accepted
	Early          // made later, by its clock, than accepted

	reasonEnd
)

var reasons = [reasonEnd]struct{ name, text string }{
	Size:           {"size", "no access packet has this size"},
	Encoding:       {"encoding", "not the base64 of an encrypted message"},
	NoKey:          {"no_key", "no key makes its HMAC"},
	NoHMAC:         {"no_hmac", "no HMAC: fwknop needs --use-hmac"},
	HMACType:       {"hmac_type", "HMAC with a hash that is refused: SHA256 and SHA512 are accepted"},
	GPG:            {"gpg", "encrypted with GPG, which is refused"},
	Undecipherable: {"undecipherable", "right HMAC, but it does not decrypt: another encryption key, or not AES in CBC mode"},
	Digest:         {"digest", "digest inside is wrong, or neither of SHA256, SHA384 and SHA512"},
	Malformed:      {"malformed", "fields are not those of an access packet"},
	Command:        {"command", "asks to run a command, which is refused"},
	NAT:            {"nat", "asks for NAT, which is refused"},
	Address:        {"address", "address inside is invalid"},
	Ports:          {"ports", "ports inside are invalid"},
	Stale:          {"stale", "too old by its clock"},
	Early:          {"early", "made in the future by its clock"},
}

// String returns one word, for counters: "no_key".
func (r Reason) String() string {
	if r == 0 || r >= reasonEnd {
		return "unknown"
	}
	return reasons[r].name
}

// Error returns the reason for a log, without anything of the packet.
func (r Reason) Error() string {
	if r == 0 || r >= reasonEnd {
		return "unknown reason"
	}
	return reasons[r].text
}

// Authenticated reports whether the holder of a key sent what was refused for this reason.
func (r Reason) Authenticated() bool { return r >= Undecipherable && r < reasonEnd }

// AllReasons returns every reason, for counters that start at 0.
func AllReasons() []Reason {
	all := make([]Reason, 0, reasonEnd-1)
	for r := Size; r < reasonEnd; r++ {
		all = append(all, r)
	}
	return all
}
