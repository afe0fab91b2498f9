package config

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
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

// maxSecretFile is far more than a secret needs, in bytes.
const maxSecretFile = 4096

// readSecret reads the file that holds the secret of one-time codes. Its errors are
// one line, and say nothing of what is in the file.
func readSecret(path, door string) (Secret, error) {
	// A FIFO must not keep us waiting.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", plain(path))
	}
	if perm := info.Mode().Perm(); perm&^0o600 != 0 {
		return "", fmt.Errorf("%s has mode %04o: nobody but its owner may have access: chmod 600", plain(path), perm)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return "", secretFileError(path, door, err)
	}
	secret, err := parseSecret(string(data))
	if err != nil {
		return "", fmt.Errorf("%s %w", plain(path), err)
	}
	return secret, nil
}

func secretFileError(path, door string, err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there: \"nftknockd otp new %s\" makes it", plain(path), plain(door))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: that takes root, or the user that nftknockd runs as, whose it has to be", plain(path))
	case errors.As(err, &pe):
		err = pe.Err // the path is there already
	}
	return fmt.Errorf("%s cannot be read: %w", plain(path), err)
}

// minSecret is how long the secret of one-time codes has to be, in bytes: RFC 4226,
// section 4, requirement R6, which recommends 20.
const minSecret = 16

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// parseSecret reads base32 as people write it: in either case, with spaces, with
// padding or without. It returns it in capitals and with neither. Its errors
// continue a sentence.
func parseSecret(text string) (Secret, error) {
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
