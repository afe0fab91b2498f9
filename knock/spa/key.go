package spa

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// A Hash is what an HMAC is made with.
type Hash uint8

// The hashes. A key of AnyHash makes packets with SHA256, fwknop's default, and accepts both.
const (
	AnyHash Hash = iota
	SHA256
	SHA512
)

// A Key is one person's two keys: one encrypts, one authenticates. It shows neither when
// printed.
type Key struct {
	Name string
	Hash Hash

	cipher, hmac []byte
}

// Lengths of keys in bytes: those that fwknop's --key-gen makes, and what is accepted. The
// upper bounds are fwknop's (RIJNDAEL_MAX_KEYSIZE, MAX_DIGEST_BLOCK_LEN), the lower is ours:
// a packet lets who has seen it try keys without asking anybody.
const (
	newCipherKey = 32
	newHMACKey   = 64

	minKey       = 16
	maxCipherKey = 32
	maxHMACKey   = 128
)

// NewKey makes a key from the system's randomness.
func NewKey(name string) Key {
	k := Key{Name: name, Hash: SHA256, cipher: make([]byte, newCipherKey), hmac: make([]byte, newHMACKey)}
	rand.Read(k.cipher) // never fails
	rand.Read(k.hmac)
	return k
}

// The lines of a key file, which are fwknop's.
const (
	cipherLine = "KEY_BASE64"
	hmacLine   = "HMAC_KEY_BASE64"
	hashLine   = "HMAC_DIGEST_TYPE"
)

// ParseKey reads a key file: what fwknop's --key-gen prints, lines of KEY_BASE64 and
// HMAC_KEY_BASE64, each followed by its value. A line HMAC_DIGEST_TYPE (sha256 or sha512)
// may say what packets of this key are made with; without it, both are accepted. The
// separator may be a colon, blanks or both, and a line may end in a semicolon, as in
// .fwknoprc and access.conf. Empty lines and comments (#) don't count. The error holds
// everything that is wrong, one a line, and nothing of the keys.
func ParseKey(name, text string) (Key, error) {
	k := Key{Name: name}
	var errs []error
	seen := make(map[string]bool)
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, value := line, ""
		if end := strings.IndexAny(line, ": \t"); end >= 0 {
			word, value = line[:end], strings.TrimSpace(strings.TrimLeft(line[end:], ": \t"))
		}
		value = strings.TrimSpace(strings.TrimSuffix(value, ";"))
		fail := func(err error) { errs = append(errs, fmt.Errorf("line %d: %w", i+1, err)) }

		var err error
		switch word {
		case cipherLine:
			k.cipher, err = parseSecret(word, value, maxCipherKey)
		case hmacLine:
			k.hmac, err = parseSecret(word, value, maxHMACKey)
		case hashLine:
			k.Hash, err = parseHash(value)
		default:
			// The word may be a key that lost its name: it is not shown.
			fail(fmt.Errorf("unknown: want %s, %s or %s, and a value", cipherLine, hmacLine, hashLine))
			continue
		}
		if err != nil {
			fail(err)
		}
		if seen[word] {
			fail(fmt.Errorf("%s is there twice", word))
		}
		seen[word] = true
	}
	for _, word := range []string{cipherLine, hmacLine} {
		if !seen[word] {
			errs = append(errs, fmt.Errorf("no line %s: want what \"fwknop --key-gen\" prints", word))
		}
	}
	if len(errs) == 0 && bytes.Equal(k.cipher, k.hmac) {
		errs = append(errs, fmt.Errorf("%s and %s are the same key: want two", cipherLine, hmacLine))
	}
	if len(errs) > 0 {
		return Key{}, errors.Join(errs...)
	}
	return k, nil
}

func parseSecret(word, value string, most int) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(value)
	switch {
	case err != nil: // which would tell a place in the key
		return nil, fmt.Errorf("%s is not base64", word)
	case len(secret) < minKey || len(secret) > most:
		return nil, fmt.Errorf("%s has %d bytes: want %d to %d", word, len(secret), minKey, most)
	}
	return secret, nil
}

func parseHash(value string) (Hash, error) {
	switch strings.ToLower(value) {
	case "sha256":
		return SHA256, nil
	case "sha512":
		return SHA512, nil
	}
	return 0, fmt.Errorf("%s: want sha256 or sha512", hashLine)
}

// Equal reports whether keys are the same, of the same name.
func (k Key) Equal(other Key) bool {
	return k.Name == other.Name && k.Hash == other.Hash && bytes.Equal(k.cipher, other.cipher) && bytes.Equal(k.hmac, other.hmac)
}

// Base64 returns the two keys as fwknop's options and files take them. They are secrets.
func (k Key) Base64() (cipher, hmac string) {
	return base64.StdEncoding.EncodeToString(k.cipher), base64.StdEncoding.EncodeToString(k.hmac)
}

// File returns the key file that [ParseKey] reads. It is a secret.
func (k Key) File() string {
	cipher, hmac := k.Base64()
	text := fmt.Sprintf("%s: %s\n%s: %s\n", cipherLine, cipher, hmacLine, hmac)
	switch k.Hash {
	case SHA256:
		text += hashLine + ": sha256\n"
	case SHA512:
		text += hashLine + ": sha512\n"
	}
	return text
}

// Format implements [fmt.Formatter], for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.Name+" (secret)") }

// LogValue implements [slog.LogValuer].
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Name) }
