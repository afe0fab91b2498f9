package functional

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestUnmute has somebody touch a decoy, and an administrator listen to them again.
func TestUnmute(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
		decoy := aDecoy(t, s)
		muted := s.Source.String() // of IPv6 the network
		if f == lab.IPv6 {
			muted = netip.PrefixFrom(s.Source, 64).Masked().String()
		}

		s.Knock(t, s.Source, decoy)
		lab.ExpectWords(t, "status", func() string { return d.Tell(t, "status") }, "1 muted;")
		lab.ExpectWords(t, "status", func() string { return d.Tell(t, "status") }, muted, "s")
		var status struct {
			Daemon struct {
				Muted   int
				Sources []struct{ Source string } `json:"muted_sources"`
			}
		}
		if err := json.Unmarshal([]byte(d.Tell(t, "status", "--json")), &status); err != nil {
			t.Fatal(err)
		}
		if of := status.Daemon; of.Muted != 1 || len(of.Sources) != 1 || of.Sources[0].Source != muted {
			t.Errorf("%+v, want %s", of, muted)
		}
		lab.ExpectWords(t, "why", func() string { return d.Tell(t, "why", s.Source.String()) }, "nftknockd unmute "+s.Source.String())
		s.Knock(t, s.Source, lab.SSHSequence...)
		// A knock that is still on its way to the daemon when it listens again counts.
		heard := fmt.Sprintf(`"heard": %d,`, 1+len(lab.SSHSequence))
		lab.ExpectWords(t, "why", func() string { return d.Tell(t, "why", "--json", s.Source.String()) }, heard)

		if said := d.Tell(t, "unmute", s.Source.String()); said != "listening again to "+muted+"\n" {
			t.Errorf("unmute: %s", said)
		}
		if said := d.Tell(t, "unmute", s.Source.String()); !strings.Contains(said, "was not muted") {
			t.Errorf("unmute again: %s", said)
		}
		s.ExpectShut(t, s.Source, "22", lab.Silent)
		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		lab.ExpectLine(t, d, "msg=unmuted", muted)

		// What status shows is what unmute takes.
		s.Knock(t, s.Stranger, decoy)
		lab.Eventually(t, "the stranger is muted", func() bool { return strings.Contains(d.Tell(t, "status"), "1 muted;") })
		all := netip.PrefixFrom(s.Stranger, 16).Masked().String()
		if said := d.Tell(t, "unmute", all); !strings.HasPrefix(said, "listening again to ") {
			t.Errorf("unmute %s: %s", all, said)
		}
		if status := d.Tell(t, "status"); !strings.Contains(status, "0 muted;") {
			t.Error(status)
		}
		if r := d.Ask(t, "unmute", "fe80::1"); r.Exit() != 1 || !strings.Contains(r.Stderr, "fe80::1%eth0") {
			t.Errorf("a link-local address: %d %s", r.Exit(), r.Stderr)
		}
	})
}

// aDecoy returns a port that mutes.
func aDecoy(t *testing.T, s *lab.Topology) string {
	t.Helper()
	for _, port := range s.Server.PortsIn(t, "knock_tcp") {
		if text := fmt.Sprint(port); !strings.Contains(strings.Join(lab.SSHSequence, " "), text) {
			return text
		}
	}
	t.Fatal("there is no decoy")
	return ""
}
