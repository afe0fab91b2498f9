package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp/hotp"

	"nftknock/config"
	"nftknock/knock"
)

// codes judges one-time codes (RFC 6238) of doors. Each opens once, whatever
// happens in between: before a code is accepted, the state directory holds that it
// was. It is not safe for concurrent use.
//
// What is recorded belongs to the secret and not to the door: a code is spent for
// all doors that share its secret, and a door with a new secret begins anew.
type codes struct {
	state stateDir
	doors map[string]config.OTP
	last  map[config.Secret]int64 // the last accepted step, of the secrets whose record was read
}

// What may be said of a code. Any other error is that of a code which is right,
// but about which nothing can be recorded.
var (
	errWrongCode = errors.New("wrong code")
	errSpentCode = errors.New("the code, or a later one, has opened already")
)

const (
	stepTime = 30 * time.Second // RFC 6238, section 4.1: the time step X

	// skew is how many steps the clocks may be apart, either way: RFC 6238, section 5.2.
	skew = 1

	// behind is how many steps the clock may be behind the last accepted one before
	// that deserves a word.
	behind = 4
)

func newCodes(state stateDir, doors map[string]config.OTP) *codes {
	return &codes{state: state, doors: doors, last: make(map[config.Secret]int64)}
}

// accept returns nil if the code, 0 to knock.MaxCode, is to open the door at the
// time now, by the wall clock; and then never again. Otherwise its error is
// errWrongCode, errSpentCode, or why the door cannot be opened; it never shows the code.
func (c *codes) accept(door string, code int, now time.Time) error {
	secret := c.doors[door].Secret
	if secret == "" {
		return errors.New("the door takes no codes")
	}
	current := stepAt(now)
	step, ok, err := match(secret, code, current)
	if err != nil {
		return err
	}
	last, known, err := c.lastStep(secret)
	late := known && last > current+behind
	switch {
	case !ok && late:
		return fmt.Errorf("%w: %w", errWrongCode, c.lateError(secret, now, last))
	case !ok:
		return errWrongCode
	case err != nil:
		return fmt.Errorf("it cannot be known whether the code has opened already: %w", err)
	case late:
		return c.lateError(secret, now, last)
	case known && step <= last:
		return errSpentCode
	}
	if err := c.state.replace(c.record(secret), fmt.Appendln(nil, step)); err != nil {
		return fmt.Errorf("it cannot be recorded that the code opens: %w", err)
	}
	c.last[secret] = step
	return nil
}

// stepAt returns the number of the time step that a time is in: RFC 6238, section 4.2.
func stepAt(now time.Time) int64 { return now.Unix() / int64(stepTime/time.Second) }

// codeOf returns the six digits of a step.
func codeOf(secret config.Secret, step int64) (string, error) {
	return hotp.GenerateCode(string(secret), uint64(step))
}

// spelledCode returns the six digits of a step, and the knocks that spell them.
func spelledCode(secret config.Secret, step int64, base uint16) (digits string, knocks [2]knock.Port, err error) {
	if digits, err = codeOf(secret, step); err != nil {
		return "", knocks, err
	}
	code, err := strconv.Atoi(digits)
	if err != nil {
		return "", knocks, err
	}
	return digits, knock.SpellCode(base, code), nil
}

// match returns the step that a code is of, the latest if there are several, and
// whether there is one. How long it takes tells nothing.
func match(secret config.Secret, code int, current int64) (step int64, ok bool, err error) {
	given := fmt.Appendf(nil, "%06d", code)
	for s := current - skew; s <= current+skew; s++ {
		want, err := codeOf(secret, s)
		if err != nil {
			return 0, false, err
		}
		if subtle.ConstantTimeCompare(given, []byte(want)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok, nil
}

// record returns the file that holds the last accepted step. Its name tells nothing
// about the secret.
func (c *codes) record(secret config.Secret) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("nftknockd: the last accepted step"))
	return filepath.Join(string(c.state), "otp", fmt.Sprintf("%x", h.Sum(nil)[:16]))
}

// lastStep returns the last accepted step of a secret, and whether there is one.
func (c *codes) lastStep(secret config.Secret) (step int64, known bool, err error) {
	if step, ok := c.last[secret]; ok {
		return step, true, nil
	}
	path := c.record(secret)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	step, err = strconv.ParseInt(strings.TrimSuffix(string(data), "\n"), 10, 40)
	if err != nil {
		return 0, false, fmt.Errorf("%s is damaged: remove it when the codes shown by now are over, in a minute", path)
	}
	c.last[secret] = step
	return step, true, nil
}

// lateError says that the clock is behind what it was when the last code was accepted.
func (c *codes) lateError(secret config.Secret, now time.Time, last int64) error {
	opened := time.Unix(last*int64(stepTime/time.Second), 0)
	return fmt.Errorf("the clock says %s, but the last code opened at %s: was it set back? Codes need the right time: run NTP; "+
		"if it was wrong then and is right now, remove %s",
		now.Format(time.RFC3339), opened.Format(time.RFC3339), c.record(secret))
}
