package integration

import (
	"strings"
	"testing"
)

// TestLog reads what the daemon logs while somebody comes and goes, and while
// somebody else gets it wrong.
func TestLog(t *testing.T) {
	EachFamily(t, func(t *testing.T, f Family) {
		s := NewTopology(t, f)
		d := StartDaemon(t, s.Server, SSHDoorThatCloses)
		s.Knock(t, s.Stranger, "7214", "6127", "8391")
		s.Knock(t, s.Person, SSHSequence...)
		s.WaitIn(t, "ssh", s.Person)
		s.Knock(t, s.Person, SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Person)

		ExpectLine(t, d, "let in", "ssh", s.Person.String(), "until=")
		ExpectLine(t, d, "put out", "ssh", s.Person.String())
		if strings.Contains(d.Log(), s.Stranger.String()) {
			t.Errorf("the log tells of %v, who got nowhere", s.Stranger)
		}
		ExpectSecret(t, d, SSHSequence)
	})
}
