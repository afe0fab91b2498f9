// Package totp computes one-time codes (TOTP, RFC 6238) as they are knocked: six
// digits, HMAC-SHA-1, a new code every 30 seconds, spelled by two knocks. It keeps no
// state and reads no clock.
package totp

import (
	"crypto/subtle"
	"fmt"
	"strconv"
	"time"

	"github.com/pquerna/otp/hotp"

	"nftknock/knock"
)

const (
	// Period is how long a code is the current one: the time step X of RFC 6238, section 4.1.
	Period = 30 * time.Second

	// Skew is how many steps the clocks may be apart, either way: RFC 6238, section 5.2.
	Skew = 1

	// Valid is how many codes are accepted at any time.
	Valid = 2*Skew + 1
)

// Step returns the number of the time step at a time: RFC 6238, section 4.2.
func Step(at time.Time) int64 { return at.Unix() / int64(Period/time.Second) }

// Start returns when a step begins.
func Start(step int64) time.Time { return time.Unix(step*int64(Period/time.Second), 0) }

// Code returns the six digits of a step. The secret is base32 (RFC 4648) without padding.
func Code(secret string, step int64) (string, error) {
	return hotp.GenerateCode(secret, uint64(step))
}

// Spell returns the six digits of a step, and the knocks that spell them from a base on.
func Spell(secret string, step int64, base uint16) (digits string, knocks [2]knock.Port, err error) {
	if digits, err = Code(secret, step); err != nil {
		return "", knocks, err
	}
	code, err := strconv.Atoi(digits)
	if err != nil {
		return "", knocks, err
	}
	return digits, knock.SpellCode(base, code), nil
}

// Match returns the step that a code, 0 to [knock.MaxCode], belongs to, if it is valid
// at the current step. Of several it is the latest. The time it takes depends on
// neither the code nor the secret.
func Match(secret string, code int, current int64) (step int64, ok bool, err error) {
	given := fmt.Appendf(nil, "%06d", code)
	for s := current - Skew; s <= current+Skew; s++ {
		want, err := Code(secret, s)
		if err != nil {
			return 0, false, err
		}
		if subtle.ConstantTimeCompare(given, []byte(want)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok, nil
}
