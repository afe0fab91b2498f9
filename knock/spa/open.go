package spa

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"time"
)

// Keys are all keys whose packets are accepted. They are not safe for concurrent use.
type Keys struct {
	keys    []verifier
	message []byte // prefix and text of the packet at hand
	want    []byte // its HMAC
	sum     []byte // the HMAC of a key
}

// A verifier keeps what an HMAC does with its key before it sees a message.
type verifier struct {
	Key
	sha256, sha512 hash.Hash // nil: not accepted
}

// NewKeys prepares keys. If two are the same, the packet counts as the first one's.
func NewKeys(keys ...Key) *Keys {
	k := &Keys{
		message: make([]byte, 0, len(prefix)+MaxSize),
		want:    make([]byte, 0, sha512.Size),
		sum:     make([]byte, 0, sha512.Size),
	}
	for _, key := range keys {
		v := verifier{Key: key}
		if key.Hash != SHA512 {
			v.sha256 = hmac.New(sha256.New, key.hmac)
		}
		if key.Hash != SHA256 {
			v.sha512 = hmac.New(sha512.New, key.hmac)
		}
		k.keys = append(k.keys, v)
	}
	return k
}

// Open checks and reads a packet: the payload of a datagram. It is accepted if it was made
// at most maxAge before or after now, in whole seconds. The error is always a [Reason].
//
// A packet without a right HMAC costs nothing but the checks of its size and alphabet, or
// an HMAC with each key, and no memory.
func (k *Keys) Open(payload []byte, now time.Time, maxAge time.Duration) (Packet, error) {
	in256, in512, reason := shape(payload)
	if reason != 0 {
		return Packet{}, reason
	}
	key := -1
	if in256 {
		key = k.find(payload, sha256Text, func(v *verifier) hash.Hash { return v.sha256 })
	}
	if key < 0 && in512 {
		key = k.find(payload, sha512Text, func(v *verifier) hash.Hash { return v.sha512 })
	}
	if key < 0 {
		return Packet{}, NoKey
	}

	packet := Packet{Key: k.keys[key].Name, Digest: sha256.Sum256(k.message)}
	plain, ok := decrypt(k.keys[key].cipher, k.message)
	if !ok || !beginsRandom(plain) {
		return packet, Undecipherable
	}
	if reason := packet.parse(string(plain)); reason != 0 {
		return packet, reason
	}
	// Whole seconds: the packet has no more.
	switch age, most := now.Unix()-packet.Time.Unix(), int64(maxAge/time.Second); {
	case age > most:
		return packet, Stale
	case age < -most:
		return packet, Early
	}
	return packet, nil
}

// Shape checks what [Keys.Open] checks first, without keys: size and alphabet, as far as it
// can. Its error is nil, [Size] or [Encoding]. Of random text that is as long as a packet,
// about one in 256 passes.
func Shape(payload []byte) error {
	if _, _, reason := shape(payload); reason != 0 {
		return reason
	}
	return nil
}

// shape returns which HMACs a packet can end in.
func shape(payload []byte) (in256, in512 bool, reason Reason) {
	in256 = isText(len(payload) - sha256Text)
	in512 = isText(len(payload) - sha512Text)
	if len(payload) > maxPacket || !in256 && !in512 {
		return false, false, Size
	}
	in256 = in256 && hasShape(split(payload, sha256Text))
	in512 = in512 && hasShape(split(payload, sha512Text))
	if !in256 && !in512 || !inAlphabet(payload) {
		return false, false, Encoding
	}
	return in256, in512, 0
}

// split cuts a packet into its text and its HMAC.
func split(payload []byte, macText int) (text, mac []byte) {
	return payload[:len(payload)-macText], payload[len(payload)-macText:]
}

// find returns which key made the HMAC at the end of a packet, or -1. It leaves what the
// HMAC covers in k.message.
func (k *Keys) find(payload []byte, macText int, of func(*verifier) hash.Hash) int {
	text, mac := split(payload, macText)
	var err error
	if k.want, err = encoding.AppendDecode(k.want[:0], mac); err != nil {
		return -1
	}
	k.message = append(append(k.message[:0], prefix...), text...)
	for i := range k.keys {
		h := of(&k.keys[i])
		if h == nil {
			continue
		}
		h.Reset()
		h.Write(k.message)
		k.sum = h.Sum(k.sum[:0])
		if subtle.ConstantTimeCompare(k.sum, k.want) == 1 {
			return i
		}
	}
	return -1
}

// Diagnose finds out more about a packet that Open refused for its size, its encoding or
// because no key made its HMAC: whether a key made it without HMAC, with a hash that is
// refused, or with GPG, and which. Otherwise it returns the reason it was given. It is for
// a person who reads a log, and proves nothing. It costs several times what Open does: the
// caller limits how often.
func (k *Keys) Diagnose(payload []byte, reason Reason) (Reason, string) {
	if reason > NoKey || !inAlphabet(payload) {
		return reason, ""
	}
	for _, kind := range []struct {
		text   int
		hash   func() hash.Hash
		prefix string
		reason Reason
	}{
		{md5Text, md5.New, prefix, HMACType},
		{sha1Text, sha1.New, prefix, HMACType},
		{sha256Text, sha256.New, prefix, HMACType},
		{sha384Text, sha512.New384, prefix, HMACType},
		{sha512Text, sha512.New, prefix, HMACType},
		{sha256Text, sha256.New, gpgPrefix, GPG},
		{sha512Text, sha512.New, gpgPrefix, GPG},
	} {
		if len(payload) <= kind.text {
			continue
		}
		text, mac := split(payload, kind.text)
		want, err := encoding.AppendDecode(nil, mac)
		if err != nil || kind.prefix == prefix && !isText(len(text)) {
			continue
		}
		for i := range k.keys {
			h := hmac.New(kind.hash, k.keys[i].hmac)
			h.Write([]byte(kind.prefix))
			h.Write(text)
			if subtle.ConstantTimeCompare(h.Sum(nil), want) == 1 {
				return kind.reason, k.keys[i].Name
			}
		}
	}
	if isText(len(payload)) {
		message := append([]byte(prefix), payload...)
		for i := range k.keys {
			if plain, ok := decrypt(k.keys[i].cipher, message); ok && beginsRandom(plain) {
				return NoHMAC, k.keys[i].Name
			}
		}
	}
	return reason, ""
}

// gpgPrefix is what a message of GPG begins with in base64, and no packet.
const gpgPrefix = "hQ"
