package knocker

import (
	"encoding/base32"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/config/profile"
	"nftknock/knock"
)

// RFC 6238, appendix B: the last six digits of what it has for SHA-1.
var rfcSecret = profile.Secret(base32.StdEncoding.EncodeToString([]byte("12345678901234567890")))

func codeAt(t *testing.T, target *Target) int {
	t.Helper()
	k := &Knocker{Target: target, Stderr: os.Stderr}
	for wait := k.takeCode(time.Now()); wait > 0; wait = k.takeCode(time.Now()) {
		k.awaitCode(nil, wait)
	}
	knocks, err := codeKnocks(target, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for code := range knock.MaxCode + 1 {
		if s := knock.SpellCode(target.OTPBase, code); s[0] == knocks[0] && s[1] == knocks[1] {
			return code
		}
	}
	t.Fatalf("%v spell no code", knocks)
	return 0
}

func TestCodes(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // elsewhere than on Linux
	synctest.Test(t, func(t *testing.T) {
		home := &Target{Profile: profile.Profile{Name: "home", OTPSecret: rfcSecret, OTPBase: 40000}}
		office := &Target{Profile: profile.Profile{Name: "office", OTPSecret: rfcSecret, OTPBase: 40000}}
		at := time.Unix(1111111109, 0)
		time.Sleep(time.Until(at))
		if code := codeAt(t, home); code != 81804 {
			t.Errorf("%06d", code)
		}
		if code := codeAt(t, office); code != 81804 || !time.Now().Equal(at) {
			t.Errorf("another profile's code: %06d at %v", code, time.Now())
		}

		// The next one begins at 1111111110, of which the appendix knows a second that is later.
		if code := codeAt(t, home); code != 50471 || !time.Now().Equal(at.Add(time.Second)) {
			t.Errorf("%06d at %v", code, time.Now())
		}
		if codeAt(t, home); !time.Now().Equal(at.Add(31 * time.Second)) {
			t.Errorf("the third code at %v", time.Now())
		}
	})
}

// Where nothing can be remembered, a code that may be spent is better than none.
func TestCodesWithoutMemory(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/dev/null")
	t.Setenv("HOME", "/dev/null")
	synctest.Test(t, func(t *testing.T) {
		home := &Target{Profile: profile.Profile{Name: "home", OTPSecret: rfcSecret, OTPBase: 40000}}
		begin := time.Now()
		first, second := codeAt(t, home), codeAt(t, home)
		if first != second || !time.Now().Equal(begin) {
			t.Errorf("%06d, then %06d after %v", first, second, time.Since(begin))
		}
	})
}
