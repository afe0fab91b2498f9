package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDecoysStay looks at the ports that are watched, over a restart and a reload: they stay
// the same, until a program listens on one of them.
func TestDecoysStay(t *testing.T) {
	t.Parallel()
	const config = `
[door.ssh]
ports           = [22]
sequence        = [7214, 8391, 6127]
otp_secret_file = %q
otp_base        = 20000
`
	s := newSite(t, ipv4)
	s.server.listenTCP(t, 22)
	file := writeConfig(t, fmt.Sprintf(config, newApp(t).file))
	watched := func() []uint16 { return s.server.portsIn(t, "knock_tcp") }

	d := startDaemonFile(t, s.server, file)
	first := watched()
	if len(first) != 32+3 {
		t.Fatalf("%d ports are watched, and it should be 32 decoys and 3 knocks: %v", len(first), first)
	}
	if slices.ContainsFunc(first, func(port uint16) bool { return port == 22 || 20000 <= port && port < 22000 }) {
		t.Errorf("a guarded port, or one that carries codes, is a decoy: %v", first)
	}
	d.cmd.Process.Signal(syscall.SIGHUP)
	expectLine(t, d, "msg=reloaded")
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a reload, and %v were before", now, first)
	}
	d.stop(os.Kill)
	d = startDaemonFile(t, s.server, file)
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a restart, and %v were before", now, first)
	}

	isDecoy := func(port uint16) bool { return !slices.Contains(sshSequence, fmt.Sprint(port)) }
	taken := first[slices.IndexFunc(first, isDecoy)]
	s.server.listenTCP(t, taken)
	s.knock(t, s.stranger, fmt.Sprint(taken))
	expectLine(t, d, "a program listens on a decoy")
	second := watched()
	if slices.Contains(second, taken) || len(second) != len(first) {
		t.Errorf("%d is taken, and %v are watched", taken, second)
	}
	s.expectOpen(t, s.person, fmt.Sprint(taken))
	s.knock(t, s.person, fmt.Sprint(taken))
	s.expectNoPort(t, d)
	if strings.Contains(s.server.listRuleset(t), "decoy") {
		t.Error("the table tells of decoys")
	}
}

// expectNoPort makes sure that the log tells of no port that is watched.
func (s *site) expectNoPort(t testing.TB, d *daemon) {
	t.Helper()
	var ports []string
	for _, port := range s.server.portsIn(t, "knock_tcp") {
		// Such a number may stand for something else: the group of the log, and the year.
		if port > 999 && port != 7022 && int(port) != time.Now().Year() {
			ports = append(ports, fmt.Sprint(port))
		}
	}
	expectSecret(t, d, ports)
}

// portsIn lists a set of ports of the gate's, in order.
func (h *host) portsIn(t testing.TB, set string) []uint16 {
	t.Helper()
	var ports []uint16
	for _, object := range h.list(t, "set", "inet", gateTable, set).Nftables {
		if object.Set == nil {
			continue
		}
		for _, raw := range object.Set.Elem {
			var port uint16
			if err := json.Unmarshal(raw, &port); err != nil {
				t.Fatalf("set %s: element %s: %v", set, raw, err)
			}
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}
