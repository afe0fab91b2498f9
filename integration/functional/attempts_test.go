package functional

import (
	"context"
	"os"
	"regexp"
	"testing"

	"nftknock/integration/lab"
)

// TestAttempts follows a knock that goes wrong, with watch while it does and with why
// afterwards. Neither tells a port.
func TestAttempts(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
		watch := func(args ...string) *lab.Process {
			notify := lab.ListenNotify(t)
			cmd := lab.Command(context.Background(), t, lab.Nftknockd, append([]string{"watch", "--socket", d.Socket, "--attempts"}, args...)...)
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
			w := s.Server.StartCmd(t, cmd)
			lab.Eventually(t, "somebody watches", func() bool { return lab.HasLine(lab.NextNotice(notify), "READY=1") })
			return w
		}
		why := func() string { return d.Tell(t, "why", s.Source.String()) }
		person := s.Source.String()
		lab.ExpectWords(t, "why", why, "no knock of it was seen")
		all, one := watch(), watch("--source", person, "--json")

		s.Knock(t, s.Stranger, "7214")
		s.Knock(t, s.Source, "7214", "8391", "8391")
		lab.ExpectWords(t, "watch", all.Out.String, "attempt", "door ssh", s.Stranger.String(), "1 of 3")
		lab.ExpectWords(t, "watch", all.Out.String, "attempt", "door ssh", person, "2 of 3: wrong knock")
		lab.ExpectWords(t, "watch", one.Out.String, `"kind":"attempt"`, `"source":"`+person+`"`, `"count":2,"of":3,"outcome":"advanced"`)
		lab.ExpectWords(t, "watch", one.Out.String, `"outcome":"wrong knock"`)
		lab.ExpectWords(t, "why", why, "wrong knock: door ssh, 2 of 3")
		s.Knock(t, s.Source, lab.SSHSequence...)
		lab.ExpectWords(t, "watch", one.Out.String, `"kind":"granted"`, person)
		lab.ExpectWords(t, "why", why, person+" is let in")
		lab.ExpectWords(t, "why", why, "granted through door ssh until")
		d.Tell(t, "close", "ssh", person)
		lab.ExpectWords(t, "why", why, "revoked at door ssh, by admin")
		if regexp.MustCompile(regexp.QuoteMeta(s.Stranger.String())).MatchString(one.Out.String()) {
			t.Errorf("who follows one sees others:\n%s", one.Out.String())
		}
		for _, text := range []string{all.Out.String(), one.Out.String(), why()} {
			if regexp.MustCompile(`\b(7214|8391|6127)\b`).MatchString(text) {
				t.Errorf("it tells the sequence:\n%s", text)
			}
		}

		// A flood is sampled, and the rest is counted.
		for range 50 {
			for n := range byte(4) {
				s.Knock(t, f.Addr(1, 9, 10+n), "7214")
			}
		}
		lab.ExpectWords(t, "watch", all.Out.String, "left out", "steps of attempts")
	})
}
