package codes

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock/totp"
)

// rfcSecret is "12345678901234567890", as in RFC 6238, appendix B.
const rfcSecret config.Secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

const otherSecret config.Secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

func codesOf(dir string, secret config.Secret) *Codes {
	return New(statedir.Dir(dir), map[string]config.OTP{"ssh": {Secret: secret}})
}

// digits returns the code of a step as it is knocked.
func digits(t interface{ Fatal(...any) }, secret config.Secret, step int64) int {
	code, err := totp.Code(string(secret), step)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// accept judges a code and records it, as the gate does.
func (c *Codes) accept(door string, code int, now time.Time) error {
	cl, err := c.Judge(door, code, now)
	if err != nil {
		return err
	}
	if err := c.Record(cl); err != nil {
		c.Release(cl)
		return err
	}
	return nil
}

func at(step int64) time.Time { return time.Unix(30*step, 0) }

// The vectors of RFC 6238, appendix B, of which six digits are the last six.
func TestCodesRFC(t *testing.T) {
	c := codesOf(t.TempDir(), rfcSecret)
	for _, tt := range []struct {
		unix int64
		code int
	}{
		{59, 287082},
		{1111111109, 81804},
		{1111111111, 50471},
		{1234567890, 5924},
		{2000000000, 279037},
		{20000000000, 353130},
	} {
		if err := c.accept("ssh", tt.code, time.Unix(tt.unix, 0)); err != nil {
			t.Errorf("%d: %v", tt.unix, err)
		}
	}
}

func TestCodesWindow(t *testing.T) {
	const now = 1000
	for offset, want := range map[int64]error{-2: ErrWrong, -1: nil, 0: nil, 1: nil, 2: ErrWrong} {
		c := codesOf(t.TempDir(), rfcSecret)
		if err := c.accept("ssh", digits(t, rfcSecret, now+offset), at(now)); !errors.Is(err, want) {
			t.Errorf("%d steps off: %v", offset, err)
		}
	}
}

func TestCodesWrong(t *testing.T) {
	c := codesOf(t.TempDir(), rfcSecret)
	right := digits(t, rfcSecret, 1000)
	for _, code := range []int{right ^ 1, 1e6 + right, -right} {
		if err := c.accept("ssh", code, at(1000)); !errors.Is(err, ErrWrong) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if err := c.accept("web", right, at(1000)); err == nil || errors.Is(err, ErrWrong) {
		t.Errorf("a door without codes: %v", err)
	}
}

// A code opens once, and no older one after it: for every door with its secret, and
// after a restart.
func TestCodesSpent(t *testing.T) {
	dir := t.TempDir()
	c := New(statedir.Dir(dir), map[string]config.OTP{"ssh": {Secret: rfcSecret}, "web": {Secret: rfcSecret}, "own": {Secret: otherSecret}})
	if err := c.accept("ssh", digits(t, rfcSecret, 1000), at(1000)); err != nil {
		t.Fatal(err)
	}
	spent := func(c *Codes, door string, step int64, now time.Time) {
		t.Helper()
		if err := c.accept(door, digits(t, rfcSecret, step), now); !errors.Is(err, ErrSpent) {
			t.Errorf("door %s, step %d: %v", door, step, err)
		}
	}
	spent(c, "ssh", 1000, at(1000))
	spent(c, "ssh", 1000, at(1001))
	spent(c, "ssh", 999, at(1000))
	spent(c, "web", 1000, at(1000))
	spent(codesOf(dir, rfcSecret), "ssh", 1000, at(1000))
	if err := c.accept("own", digits(t, otherSecret, 1000), at(1000)); err != nil {
		t.Errorf("another secret: %v", err)
	}
	if err := codesOf(dir, otherSecret).accept("ssh", digits(t, otherSecret, 1001), at(1000)); err != nil {
		t.Errorf("the door's new secret: %v", err)
	}
	if err := c.accept("web", digits(t, rfcSecret, 1001), at(1000)); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// No step of a secret opens twice, in whatever order its codes are knocked, however
// the clock runs, and however often the daemon is killed.
func TestCodesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "nftknockd-codes")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := codesOf(dir, rfcSecret)
		accepted := make(map[int64]bool)
		now := int64(1000)
		for range rapid.IntRange(1, 20).Draw(t, "knocks") {
			now += rapid.Int64Range(-2, 3).Draw(t, "the clock goes on by")
			if rapid.Bool().Draw(t, "killed") {
				c = codesOf(dir, rfcSecret)
			}
			step := now + rapid.Int64Range(-2, 2).Draw(t, "offset")
			err := c.accept("ssh", digits(t, rfcSecret, step), at(now))
			if err != nil {
				continue
			}
			for s := range accepted {
				if s >= step {
					t.Fatalf("step %d accepted after %d", step, s)
				}
			}
			accepted[step] = true
		}
	})
}

// A door whose record cannot be read or written stays shut.
func TestCodesUnrecorded(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "otp")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file, where a folder has to be
		t.Fatal(err)
	}
	right := digits(t, rfcSecret, 1000)
	c := codesOf(dir, rfcSecret)
	if err := c.accept("ssh", right, at(1000)); err == nil || errors.Is(err, ErrWrong) || errors.Is(err, ErrSpent) {
		t.Errorf("not recorded: %v", err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := c.accept("ssh", right, at(1000)); err != nil {
		t.Errorf("a code that has not opened: %v", err)
	}
}

func TestCodesDamagedRecord(t *testing.T) {
	for _, record := range []string{"", "x", "1000", "-1\n\n", "99999999999999999999\n", strings.Repeat("1", 100)} {
		c := codesOf(t.TempDir(), rfcSecret)
		right := digits(t, rfcSecret, 1000)
		if err := c.accept("ssh", right, at(1000)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.file(rfcSecret), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		err := codesOf(string(c.state), rfcSecret).accept("ssh", right, at(1000))
		if err == nil || errors.Is(err, ErrWrong) {
			t.Errorf("record %q: %v", record, err)
		}
		if strings.Contains(err.Error(), strconv.Itoa(right)) {
			t.Errorf("shows the code: %v", err)
		}
	}
}

// A clock that was set back is named as the reason: neither a code of then nor one of
// the right time can open.
func TestCodesClockSetBack(t *testing.T) {
	c := codesOf(t.TempDir(), rfcSecret)
	if err := c.accept("ssh", digits(t, rfcSecret, 1000), at(1000)); err != nil {
		t.Fatal(err)
	}
	for step, wrong := range map[int64]bool{900: false, 1001: true} {
		err := c.accept("ssh", digits(t, rfcSecret, step), at(900))
		if err == nil || errors.Is(err, ErrWrong) != wrong || !strings.Contains(err.Error(), "was it set back?") {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// A code that is being recorded is spent already, and free again if that fails.
func TestCodesClaimed(t *testing.T) {
	c := codesOf(t.TempDir(), rfcSecret)
	right := digits(t, rfcSecret, 1000)
	cl, err := c.Judge("ssh", right, at(1000))
	if err != nil {
		t.Fatal(err)
	}
	c.SetDoors(map[string]config.OTP{"ssh": {Secret: rfcSecret}}) // a reload
	if _, err := c.Judge("ssh", right, at(1000)); !errors.Is(err, ErrSpent) {
		t.Errorf("claimed twice: %v", err)
	}
	c.Release(cl)
	if err := c.accept("ssh", right, at(1000)); err != nil {
		t.Errorf("after the claim failed: %v", err)
	}
}
