package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"

	"nftknock/knock"
)

// codeStep is how long a one-time code is the one of the moment (RFC 6238, section 5.2).
const codeStep = 30 * time.Second

// takeCode takes the code of the moment for this process. If this user has knocked it
// already, it returns how long it takes until there is the next one.
func (k *knocker) takeCode(now time.Time) (wait time.Duration) {
	switch err := claim(k.Name, now); {
	case errors.Is(err, fs.ErrExist):
		return now.Truncate(codeStep).Add(codeStep).Sub(now)
	case err != nil:
		// Better a code that may be spent than none.
		fmt.Fprintf(k.stderr, "nftknock: which codes are used cannot be remembered: %v\n", err)
	}
	return 0
}

// codeKnocks returns the knocks that spell a profile's code of a moment.
func codeKnocks(t *target, at time.Time) ([]knock.Port, error) {
	text, err := totp.GenerateCode(string(t.OTPSecret), at)
	if err != nil {
		return nil, fmt.Errorf("profile %s: its one-time code: %w", t.Name, err)
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("profile %s: its one-time code is not a number", t.Name)
	}
	spelt := knock.SpellCode(t.OTPBase, code)
	return spelt[:], nil
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
	step := strconv.FormatInt(at.Unix()/int64(codeStep/time.Second), 10)
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
