package totp_test

import (
	"strconv"
	"testing"
	"time"

	"nftknock/knock"
	"nftknock/knock/totp"
)

// secret is "12345678901234567890", as in RFC 6238, appendix B.
const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// The vectors of RFC 6238, appendix B, of which six digits are the last six.
func TestCode(t *testing.T) {
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471",
		1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got, err := totp.Code(secret, totp.Step(time.Unix(unix, 0))); got != want || err != nil {
			t.Errorf("%d: %s, %v, want %s", unix, got, err, want)
		}
	}
	if _, err := totp.Code("!", 1); err == nil {
		t.Error("a secret that is not base32 was taken")
	}
}

func TestMatch(t *testing.T) {
	const now = 1000
	for offset := int64(-3); offset <= 3; offset++ {
		digits, knocks, err := totp.Spell(secret, now+offset, 20000)
		if err != nil {
			t.Fatal(err)
		}
		code, _ := strconv.Atoi(digits)
		if knocks != knock.SpellCode(20000, code) {
			t.Errorf("%s is spelled %v", digits, knocks)
		}
		step, ok, err := totp.Match(secret, code, now)
		if want := -totp.Skew <= offset && offset <= totp.Skew; ok != want || ok && step != now+offset || err != nil {
			t.Errorf("%d steps off: %d, %v, %v", offset, step, ok, err)
		}
		if _, ok, _ := totp.Match(secret, code+1e6, now); ok {
			t.Errorf("a code of seven digits was taken")
		}
	}
}

func TestStart(t *testing.T) {
	at := time.Unix(1111111109, 7)
	if start := totp.Start(totp.Step(at)); start.After(at) || at.Sub(start) >= totp.Period {
		t.Errorf("%v is in the step that starts at %v", at, start)
	}
}
