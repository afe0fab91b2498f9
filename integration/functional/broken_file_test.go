package functional

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"nftknock/integration/lab"
)

// TestBrokenFile asks for the status, and removes the table, with a file that cannot be read
// any more: its table is known from when it could.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	config := lab.WriteConfig(t, "table = \"another\"\n"+lab.SSHDoor)
	d := lab.StartDaemonFile(t, s.Server, config)
	d.Tell(t, "open", "ssh", s.Source.String())
	d.Stop(syscall.SIGTERM)
	if err := os.WriteFile(config, []byte("table = \"another\"\nsequence = 1\n"+lab.SSHDoor), 0o600); err != nil {
		t.Fatal(err)
	}

	const taken = "toml:2: unknown key \"sequence\": it belongs in a door, such as [door.ssh]\nnftknockd: taking the table to be inet another"
	r := d.Ask(t, "status", "-c", config)
	if r.Exit() != 0 || !strings.Contains(r.Stderr, taken) || !strings.Contains(r.Stdout, s.Source.String()) || !strings.Contains(r.Stdout, "table inet another") {
		t.Errorf("status: exit %d\n%s%s", r.Exit(), r.Stdout, r.Stderr)
	}
	if s.Client.Reaches(netip.AddrPortFrom(s.Stranger, 0), netip.AddrPortFrom(s.Addr, 22), soonEnough) {
		t.Error("the door is open")
	}
	if r = s.Server.Try(t, lab.Nftknockd, "remove", "-c", config); r.Exit() != 0 || !strings.Contains(r.Stderr, taken) {
		t.Errorf("remove: exit %d\n%s%s", r.Exit(), r.Stdout, r.Stderr)
	}
	s.ExpectOpen(t, s.Stranger, "22")
	r = d.Ask(t, "status", "-c", config)
	if r.Exit() != 1 || !strings.HasPrefix(r.Stdout, "nftknockd is not running, and there is no table: nothing is guarded\n") {
		t.Errorf("status: exit %d\n%s%s", r.Exit(), r.Stdout, r.Stderr)
	}
	if r = d.Ask(t, "status", "--json", "-c", config); r.Exit() != 1 || !strings.Contains(r.Stdout, `"exists": false`) {
		t.Errorf("status --json: exit %d\n%s%s", r.Exit(), r.Stdout, r.Stderr)
	}
}
