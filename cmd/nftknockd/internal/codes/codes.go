// Package codes says whether a one-time code may open a door, and records that it did.
package codes

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock/totp"
)

// Codes judges the one-time codes (RFC 6238) of doors. A code opens once, also across
// restarts: before its door opens, the state directory says that it was used. Judging
// claims a code in memory, which takes microseconds; recording the claim waits for the
// disk. The methods are not safe for concurrent use, but for Record.
//
// A record belongs to the secret and not to the door: a code is spent for all doors that
// share its secret, and a door with a new secret begins anew.
type Codes struct {
	state statedir.Dir
	doors map[string]config.OTP
	last  map[config.Secret]int64 // the last claimed step, of the secrets whose record was read
}

// Verdicts on a code. Any other error is about a right code that cannot be recorded.
var (
	ErrWrong = errors.New("wrong code")
	ErrSpent = errors.New("the code, or a later one, has opened already")
)

const (
	// behind is how many steps the clock may be behind the last accepted code before the
	// clock is named as the reason.
	behind = 4
)

// A Claim is on a code that is right and was not used before.
type Claim struct {
	secret config.Secret
	step   int64
	last   int64 // what was claimed before, if known
	known  bool
}

// New returns the codes of doors, whose records are in the state directory.
func New(state statedir.Dir, doors map[string]config.OTP) *Codes {
	return &Codes{state: state, doors: doors, last: make(map[config.Secret]int64)}
}

// SetDoors changes the doors. Claims stay, recorded or not.
func (c *Codes) SetDoors(doors map[string]config.OTP) { c.doors = doors }

// Judge claims a code, 0 to knock.MaxCode, for a door at the time now, by the wall clock.
// Otherwise its error is ErrWrong, ErrSpent, or why the door cannot be opened; it
// never shows the code.
func (c *Codes) Judge(door string, code int, now time.Time) (Claim, error) {
	secret := c.doors[door].Secret
	if secret == "" {
		return Claim{}, errors.New("the door takes no codes")
	}
	current := totp.Step(now)
	step, ok, err := totp.Match(string(secret), code, current)
	if err != nil {
		return Claim{}, err
	}
	last, known, err := c.lastStep(secret)
	late := known && last > current+behind
	switch {
	case !ok && late:
		return Claim{}, fmt.Errorf("%w: %w", ErrWrong, c.lateError(secret, now, last))
	case !ok:
		return Claim{}, ErrWrong
	case err != nil:
		return Claim{}, fmt.Errorf("cannot tell whether the code was used before: %w", err)
	case late:
		return Claim{}, c.lateError(secret, now, last)
	case known && step <= last:
		return Claim{}, ErrSpent
	}
	c.last[secret] = step
	return Claim{secret: secret, step: step, last: last, known: known}, nil
}

// Record writes a claim to disk. Unlike the other methods it may run beside them.
func (c *Codes) Record(cl Claim) error {
	if err := c.state.Replace(c.file(cl.secret), fmt.Appendln(nil, cl.step)); err != nil {
		return fmt.Errorf("cannot record that the code was used: %w", err)
	}
	return nil
}

// Release gives up a claim that could not be recorded.
func (c *Codes) Release(cl Claim) {
	switch {
	case c.last[cl.secret] != cl.step: // a later one was claimed
	case cl.known:
		c.last[cl.secret] = cl.last
	default:
		delete(c.last, cl.secret)
	}
}

// file returns the file that holds the last accepted step. Its name tells nothing about
// the secret.
func (c *Codes) file(secret config.Secret) string {
	return filepath.Join(string(c.state), "otp", mark(secret))
}

// mark returns what stands for a secret, and tells nothing about it.
func mark(secret config.Secret) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("nftknockd: the last accepted step"))
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// Mark returns what stands for a claim among gates that share secrets: the mark of the secret, which
// does not tell it, and the step.
func (cl Claim) Mark() (secret string, step int64) { return mark(cl.secret), cl.step }

// Spend claims what was used at another gate, and all codes of the secret from before. It
// reports false if the secret is no door's, or if that is known.
func (c *Codes) Spend(secretMark string, step int64) (Claim, bool) {
	for _, door := range c.doors {
		if door.Secret == "" || mark(door.Secret) != secretMark {
			continue
		}
		last, known, err := c.lastStep(door.Secret)
		if err != nil || known && step <= last {
			return Claim{}, false
		}
		c.last[door.Secret] = step
		return Claim{secret: door.Secret, step: step, last: last, known: known}, true
	}
	return Claim{}, false
}

// lastStep returns the last claimed step of a secret, and whether there is one.
func (c *Codes) lastStep(secret config.Secret) (step int64, known bool, err error) {
	if step, ok := c.last[secret]; ok {
		return step, true, nil
	}
	path := c.file(secret)
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
func (c *Codes) lateError(secret config.Secret, now time.Time, last int64) error {
	return fmt.Errorf("the clock says %s, but the last code was used at %s: was it set back? Codes need the right time: run NTP; "+
		"if it was wrong then and is right now, remove %s",
		now.Format(time.RFC3339), totp.Start(last).Format(time.RFC3339), c.file(secret))
}
