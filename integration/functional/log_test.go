package functional

import (
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestLog reads what the daemon logs while somebody comes and goes, and while
// somebody else gets it wrong.
func TestLog(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
		s.Knock(t, s.Stranger, "7214", "6127", "8391")
		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		s.Knock(t, s.Source, lab.SSHCloseSequence...)
		s.WaitOut(t, "ssh", s.Source)

		lab.ExpectLine(t, d, "granted", "ssh", s.Source.String(), "until=")
		lab.ExpectLine(t, d, "revoked", "ssh", s.Source.String())
		if strings.Contains(d.Log(), s.Stranger.String()) {
			t.Errorf("the log tells of %v, who got nowhere", s.Stranger)
		}
		lab.ExpectSecret(t, d, lab.SSHSequence)
	})
}
