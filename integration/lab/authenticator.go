package lab

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// An Authenticator is an authenticator app that shows the codes of one door.
type Authenticator struct {
	Secret string
	File   string // which the server has the secret in
}

// NewAuthenticator makes a secret, and writes it to a file for the server to read.
func NewAuthenticator(t testing.TB) *Authenticator {
	t.Helper()
	key := make([]byte, 20)
	rand.Read(key)
	a := &Authenticator{base32.StdEncoding.EncodeToString(key), filepath.Join(t.TempDir(), "app.otp")}
	if err := os.WriteFile(a.File, []byte(a.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

const stepTime = 30 * time.Second

// Code returns what the app shows so many steps from now.
func (a *Authenticator) Code(t testing.TB, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(a.Secret, time.Now().Add(time.Duration(steps)*stepTime))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// Spell returns the knocks for a code, as the README explains them.
func Spell(t testing.TB, base int, code string) []string {
	t.Helper()
	number, err := strconv.Atoi(code)
	if err != nil {
		t.Fatal(err)
	}
	return []string{fmt.Sprint(base + number/1000), fmt.Sprint(base + 1000 + number%1000)}
}

// WaitForStep waits until the codes don't change for a while.
func WaitForStep(t testing.TB, while time.Duration) {
	t.Helper()
	Eventually(t, "a step of the codes is not about to end", func() bool {
		return time.Now().Add(while).Unix()/30 == time.Now().Unix()/30
	})
}

// NC knocks TCP ports, each with a plain nc.
func (s *Topology) NC(t testing.TB, from netip.Addr, ports ...string) {
	t.Helper()
	for _, port := range ports {
		// It fails, for the port is not open.
		s.Client.Try(t, "nc", "-z", "-w1", "-s", from.String(), s.Addr.String(), port)
	}
}
