package fleet

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// TestSpentEverywhere uses a packet and a code at one gate, and then at another.
func TestSpentEverywhere(t *testing.T) {
	t.Parallel()
	key := spa.NewKey("alice")
	file := filepath.Join(t.TempDir(), "alice.spa")
	if err := os.WriteFile(file, []byte(key.File()), 0o600); err != nil {
		t.Fatal(err)
	}
	app := lab.NewAuthenticator(t)
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2, Fleet: `doors = ["ssh"]`, Config: fmt.Sprintf(`
[door.web]
ports    = [80]
spa_keys = [%q]

[door.code]
ports           = [81]
otp_secret_file = %q
otp_base        = 20000
`, file, app.File)})
	a, b := f.Gates[0], f.Gates[1]
	in := func(g *lab.Gate, door string) bool {
		for _, grant := range g.Daemon.Status(t).Grants {
			if grant.Door == door {
				return true
			}
		}
		return false
	}

	packet, err := key.Seal(spa.Request{User: "alice", Source: f.Source, Ports: []knock.Port{{Number: 80, Proto: knock.TCP}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	send := func(g *lab.Gate) {
		t.Helper()
		err := f.Client.In(func() error {
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(f.Source, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(g.Addr, 62201)))
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(packet)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	known := func(what ...string) func() bool {
		return func() bool {
			files, _ := filepath.Glob(filepath.Join(append([]string{b.State}, what...)...))
			for _, file := range files {
				if info, err := os.Stat(file); err == nil && info.Size() > 0 {
					return true
				}
			}
			return false
		}
	}
	send(a)
	lab.Eventually(t, "the packet opens at the first gate", func() bool { return in(a, "web") })
	lab.Eventually(t, "the second gate has heard of it", known("spa", "*", "spent"))
	s, _ := newStranger(t, f)
	used := func() (key string) {
		keys, _ := s.kv.Keys(t.Context())
		for _, k := range keys {
			if e, err := s.kv.Get(t.Context(), k); err == nil && strings.HasPrefix(k, "spent.") && len(e.Value()) > 32 {
				key = k
			}
		}
		return key
	}
	s.put(t, used(), []byte("noise"))
	lab.Eventually(t, "what a stranger has replaced is back", func() bool { return used() != "" })
	send(b)
	lab.ExpectLine(t, b.Daemon, "msg=refused", "by=spa", "key=alice")
	if in(b, "web") {
		t.Error("the packet has opened at the second gate, too")
	}

	lab.WaitForStep(t, 10*time.Second)
	knocks := lab.Spell(t, 20000, app.Code(t, 0))
	a.Knock(t, knocks...)
	lab.Eventually(t, "the code opens at the first gate", func() bool { return in(a, "code") })
	lab.Eventually(t, "the second gate has heard of it", known("otp", "*"))
	b.Knock(t, knocks...)
	lab.ExpectLine(t, b.Daemon, "msg=refused", "door=code")
	if in(b, "code") {
		t.Error("the code has opened at the second gate, too")
	}
}
