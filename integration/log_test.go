package integration

import (
	"regexp"
	"strings"
	"testing"
)

// TestLog reads what the daemon logs while somebody comes and goes, and while
// somebody else gets it wrong.
func TestLog(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		d := startDaemon(t, s.server, sshDoorThatCloses)
		s.knock(t, s.stranger, "7214", "6127", "8391")
		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)
		s.knock(t, s.person, sshCloseSequence...)
		s.waitOut(t, "ssh", s.person)

		expectLine(t, d, "granted", "ssh", s.person.String(), "until=")
		expectLine(t, d, "revoked", "ssh", s.person.String())
		if strings.Contains(d.log(), s.stranger.String()) {
			t.Errorf("the log tells of %v, who got nowhere", s.stranger)
		}
		expectSecret(t, d, sshSequence)
	})
}

// expectLine waits until one line of the log has all of the words.
func expectLine(t *testing.T, d *daemon, words ...string) {
	t.Helper()
	expectWords(t, "the log", d.log, words...)
}

// expectSecret makes sure that the log has none of the knocks.
func expectSecret(t testing.TB, d *daemon, sequence []string) {
	t.Helper()
	for _, knock := range sequence {
		port, _, _ := strings.Cut(knock, ":")
		if regexp.MustCompile(`\b` + port + `\b`).MatchString(d.log()) {
			t.Errorf("the log shows %s of the sequence:\n%s", port, d.log())
		}
	}
}
