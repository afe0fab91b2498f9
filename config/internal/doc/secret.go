package doc

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// A Secret is text that must not get into a log or an error: it shows itself to
// who converts it to a string or bytes, and to nobody else.
type Secret string

const hidden = "(secret)"

// Format implements [fmt.Formatter], for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json asks.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// minSecret is how long the secret of one-time codes has to be, in bytes: RFC 4226,
// section 4, requirement R6, which recommends 20.
const minSecret = 16

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseBase32 reads base32 as people write it: in either case, with spaces, with
// padding or without. It returns it in capitals and with neither. Its errors
// continue a sentence.
func ParseBase32(text string) (Secret, error) {
	text = strings.ToUpper(strings.Join(strings.Fields(text), ""))
	text = strings.TrimRight(text, "=")
	key, err := base32Plain.DecodeString(text)
	switch {
	case err != nil: // which would tell a place in the secret
		return "", errors.New("does not hold base32: write the letters a to z and digits 2 to 7 that an authenticator app takes")
	case len(key) < minSecret:
		return "", fmt.Errorf("holds %d bits: at least %d are needed (RFC 4226, section 4), and 160 recommended", 8*len(key), 8*minSecret)
	}
	return Secret(text), nil
}
