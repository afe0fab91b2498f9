package functional

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
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
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	file := lab.WriteConfig(t, fmt.Sprintf(config, lab.NewAuthenticator(t).File))
	watched := func() []uint16 { return s.Server.PortsIn(t, "knock_tcp") }

	d := lab.StartDaemonFile(t, s.Server, file)
	first := watched()
	if len(first) != 32+3 {
		t.Fatalf("%d ports are watched, and it should be 32 decoys and 3 knocks: %v", len(first), first)
	}
	if slices.ContainsFunc(first, func(port uint16) bool { return port == 22 || 20000 <= port && port < 22000 }) {
		t.Errorf("a guarded port, or one that carries codes, is a decoy: %v", first)
	}
	d.Cmd.Process.Signal(syscall.SIGHUP)
	lab.ExpectLine(t, d, "msg=reloaded")
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a reload, and %v were before", now, first)
	}
	d.Stop(os.Kill)
	d = lab.StartDaemonFile(t, s.Server, file)
	if now := watched(); !slices.Equal(now, first) {
		t.Errorf("%v are watched after a restart, and %v were before", now, first)
	}

	isDecoy := func(port uint16) bool { return !slices.Contains(lab.SSHSequence, fmt.Sprint(port)) }
	taken := first[slices.IndexFunc(first, isDecoy)]
	s.Server.ListenTCP(t, taken)
	s.Knock(t, s.Stranger, fmt.Sprint(taken))
	lab.ExpectLine(t, d, "a program listens on a decoy")
	second := watched()
	if slices.Contains(second, taken) || len(second) != len(first) {
		t.Errorf("%d is taken, and %v are watched", taken, second)
	}
	s.ExpectOpen(t, s.Source, fmt.Sprint(taken))
	s.Knock(t, s.Source, fmt.Sprint(taken))
	expectNoPort(t, s, d)
	if strings.Contains(s.Server.Ruleset(t), "decoy") {
		t.Error("the table tells of decoys")
	}
}

// expectNoPort makes sure that the log tells of no port that is watched.
func expectNoPort(t testing.TB, s *lab.Topology, d *lab.Daemon) {
	t.Helper()
	var ports []string
	for _, port := range s.Server.PortsIn(t, "knock_tcp") {
		// Such a number may stand for something else: the group of the log, and the year.
		if port > 999 && port != 7022 && int(port) != time.Now().Year() {
			ports = append(ports, fmt.Sprint(port))
		}
	}
	lab.ExpectSecret(t, d, ports)
}
