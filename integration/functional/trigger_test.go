package functional

import (
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// triggers has one on the port of a service, and one with a sequence, beside a door.
const triggers = lab.SSHDoor + `
[door.game]
sequence     = [25565]
open_timeout = 2

[door.wake]
sequence       = [5303, "4871:udp", 7519]
close_sequence = [7519, "4871:udp", 5303]
open_timeout   = "forever"
`

// TestTrigger knocks at doors that guard nothing. Who has is remembered, and it makes no
// difference to anybody's packets.
func TestTrigger(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ServeBanner(t, 25565)
		s.Server.ServeBanner(t, 22)
		config := lab.WriteConfig(t, triggers)
		d := lab.StartDaemonFile(t, s.Server, config)
		watch := s.Server.Start(t, lab.Nftknockd, "watch", "--socket", d.Socket)
		lab.Eventually(t, "somebody watches", func() bool {
			d.Tell(t, "reload")
			return strings.Contains(watch.Out.String(), "reloaded")
		})

		s.ExpectOpen(t, s.Source, "25565")
		s.WaitIn(t, "game", s.Source)
		lab.ExpectWords(t, "watch", watch.Out.String, "granted", "door game", s.Source.String(), "by knock", "until")
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.WaitOut(t, "game", s.Source)
		lab.ExpectWords(t, "watch", watch.Out.String, "expired", "door game", s.Source.String())
		s.ExpectOpen(t, s.Source, "25565")

		s.Knock(t, s.Neighbour, "5303", "4871:udp", "7519")
		if e := s.WaitIn(t, "wake", s.Neighbour); e.Timeout != 0 {
			t.Errorf("for %v", e.Timeout)
		}
		status := d.Status(t)
		shown := false
		for _, g := range status.Grants {
			shown = shown || g.Door == "wake" && g.Source == s.Neighbour.String() && g.By == "knock"
		}
		if !shown {
			t.Errorf("status: %+v", status.Grants)
		}
		lab.ExpectWords(t, "status", func() string { return d.Tell(t, "status") }, "wake", "none: a trigger")
		s.Knock(t, s.Neighbour, "7519", "4871:udp", "5303")
		s.WaitOut(t, "wake", s.Neighbour)
		lab.ExpectWords(t, "watch", watch.Out.String, "revoked", "door wake", s.Neighbour.String(), "by knock")

		// By hand it is the same.
		d.Tell(t, "open", "wake", s.Source.String(), "--for", "1s")
		s.WaitIn(t, "wake", s.Source)
		lab.ExpectWords(t, "watch", watch.Out.String, "expired", "door wake", s.Source.String())

		check := s.Server.Run(t, lab.Nftknockd, "check", "-c", config)
		for _, want := range []string{"door game guards nothing, it is a trigger", "door wake: it has no ports"} {
			if !strings.Contains(check, want) {
				t.Errorf("check: %q is not in\n%s", want, check)
			}
		}
		if dropped := s.Server.Rules(t); len(dropped) == 0 || strings.Contains(s.Server.Ruleset(t), "chain door_wake") {
			t.Error("the table has a chain that nothing leads to")
		}
	})
}
