package lab

import (
	"regexp"
	"strings"
	"testing"
)

// ExpectWords waits until one line of a text has all of the words.
func ExpectWords(t testing.TB, what string, text func() string, words ...string) {
	t.Helper()
	Eventually(t, what+" has a line with "+strings.Join(words, " and "), func() bool {
	lines:
		for line := range strings.Lines(text()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}

// ExpectLine waits until one line of the log has all of the words.
func ExpectLine(t *testing.T, d *Daemon, words ...string) {
	t.Helper()
	ExpectWords(t, "the log", d.Log, words...)
}

// ExpectSecret makes sure that the log has none of the knocks.
func ExpectSecret(t testing.TB, d *Daemon, sequence []string) {
	t.Helper()
	for _, knock := range sequence {
		port, _, _ := strings.Cut(knock, ":")
		if regexp.MustCompile(`\b` + port + `\b`).MatchString(d.Log()) {
			t.Errorf("the log shows %s of the sequence:\n%s", port, d.Log())
		}
	}
}
