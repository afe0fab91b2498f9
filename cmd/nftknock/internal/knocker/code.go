package knocker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"nftknock/knock"
	"nftknock/knock/totp"
)

// takeCode takes the code of the moment for this process. If this user has knocked it
// already, it returns how long it takes until there is the next one.
func (k *Knocker) takeCode(now time.Time) (wait time.Duration) {
	switch err := claim(k.Name, now); {
	case errors.Is(err, fs.ErrExist):
		return totp.Start(totp.Step(now) + 1).Sub(now)
	case err != nil:
		// Better a code that may be spent than none.
		fmt.Fprintf(k.Stderr, "nftknock: which codes are used cannot be remembered: %v\n", err)
	}
	return 0
}

// codeKnocks returns the knocks that spell a profile's code of a moment.
func codeKnocks(t *Target, at time.Time) ([]knock.Port, error) {
	_, knocks, err := totp.Spell(string(t.OTPSecret), totp.Step(at), t.OTPBase)
	if err != nil {
		return nil, fmt.Errorf("profile %s: its one-time code: %w", t.Name, err)
	}
	return knocks[:], nil
}

// claim takes the code of a moment for this process. An error that is fs.ErrExist
// means that it has been used. What is remembered is a file for the step's
// number, which only one process can make.
func claim(profile string, at time.Time) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "nftknock", "codes", profile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	step := strconv.FormatInt(totp.Step(at), 10)
	used, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, step), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, old := range used {
		os.Remove(filepath.Join(dir, old.Name())) // if it stays, it is only in the way
	}
	return f.Close()
}
