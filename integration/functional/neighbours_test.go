package functional

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"nftknock/integration/lab"
)

// A neighbour is another firewall, on the same host.
type neighbour struct {
	program string // without it the test is skipped
	// start starts it, with files of its own, and returns what puts a command into its place.
	start func(t *testing.T, s *lab.Topology) func(args ...string) []string
	shut  [][]string // has it drop what comes to port 2222
	allow [][]string // has it let that pass
	later [][]string // what its administrator does one day
}

// TestNeighbours has the gate beside other firewalls. What the gate drops they do not get, what it admits they may
// drop, and whatever becomes of them the gate goes on.
func TestNeighbours(t *testing.T) {
	neighbours := map[string]neighbour{
		"ufw": {
			program: "ufw", start: startUFW,
			shut:  [][]string{{"ufw", "--force", "enable"}},
			allow: [][]string{{"ufw", "allow", "2222/tcp"}},
			later: [][]string{{"ufw", "reload"}, {"ufw", "--force", "reset"}, {"ufw", "disable"}, {"nft", "flush", "ruleset"}},
		},
		"firewalld": {
			program: "firewalld", start: startFirewalld,
			allow: [][]string{{"firewall-cmd", "--permanent", "--add-port=2222/tcp"}, {"firewall-cmd", "--reload"}},
			later: [][]string{{"firewall-cmd", "--reload"}, {"firewall-cmd", "--complete-reload"}, {"nft", "flush", "ruleset"}},
		},
		"nftables.service": {
			program: "nft", start: startNftables,
			shut:  [][]string{{"nft", "-f", "shut.nft"}},
			allow: [][]string{{"nft", "-f", "open.nft"}},
			later: [][]string{{"nft", "-f", "open.nft"}, {"nft", "flush", "ruleset"}, {"nft", "-f", "open.nft"}},
		},
	}
	const config = `
[door.ssh]
ports        = [2222]
sequence     = [7214, 8391, 6127]
open_timeout = "1h"
`
	t.Parallel()
	for name, n := range neighbours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(n.program); err != nil {
				t.Skip(n.program + " is not installed")
			}
			s := lab.NewTopology(t, lab.IPv4)
			s.Server.ListenTCP(t, 2222)
			place := n.start(t, s)
			do := func(commands [][]string) {
				t.Helper()
				for _, c := range commands {
					run(t, s.Server, place(c...))
				}
			}
			do(n.shut)
			lab.StartDaemon(t, s.Server, config)
			s.Knock(t, s.Source, lab.SSHSequence...)
			s.WaitIn(t, "ssh", s.Source)
			if a, _ := s.Try(t, s.Source, "2222", lab.BriefTimeout); a == lab.Open {
				t.Error("the gate has let somebody past another firewall")
			}

			do(n.allow)
			s.ExpectOpen(t, s.Source, "2222")
			s.ExpectShut(t, s.Stranger, "2222", lab.Silent)
			for _, c := range n.later {
				t.Log(c)
				do([][]string{c})
				s.ExpectShut(t, s.Stranger, "2222", lab.Silent)
				s.ExpectOpen(t, s.Source, "2222")
			}
		})
	}
}

// copyOf copies a directory for a test.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("copying %s: %v\n%s", dir, err, out)
	}
	return to
}

// run runs a command that has to succeed.
func run(t *testing.T, h *lab.Host, command []string) {
	t.Helper()
	h.Run(t, command[0], command[1:]...)
}

// startInside starts a script as the first of processes that end with it, with mounts of their
// own, and returns what puts a command among them.
func startInside(t *testing.T, s *lab.Topology, script string, args ...string) func(args ...string) []string {
	t.Helper()
	p := s.Server.Start(t, "unshare", append([]string{
		"--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", "echo ready\n" + script}, args...)...)
	lab.Eventually(t, "the namespaces are there", func() bool { return p.Out.String() != "" })
	ns := fmt.Sprintf("/proc/%d/ns/", p.Cmd.Process.Pid)
	return func(args ...string) []string {
		return append([]string{"nsenter", "--mount=" + ns + "mnt", "--pid=" + ns + "pid_for_children"}, args...)
	}
}

// startUFW gives each command the test's own files in place of /etc/ufw.
func startUFW(t *testing.T, _ *lab.Topology) func(...string) []string {
	etc := copyOf(t, "/etc/ufw")
	return func(args ...string) []string {
		return append([]string{"unshare", "--mount", "bash", "-c", `mount --bind "$0" /etc/ufw && exec "$@"`, etc}, args...)
	}
}

// startFirewalld starts firewalld and the bus that it is told by, with files of the test's own.
func startFirewalld(t *testing.T, s *lab.Topology) func(...string) []string {
	const script = `set -e
mkdir -p /run/dbus
mount -t tmpfs none /run/dbus
mount --bind "$0" /etc/firewalld
dbus-daemon --system --nofork --nopidfile &
exec firewalld --nofork --nopid`
	place := startInside(t, s, script, copyOf(t, "/etc/firewalld"))
	lab.Eventually(t, "firewalld runs", func() bool {
		args := place("firewall-cmd", "--state")
		return s.Server.Try(t, args[0], args[1:]...).Err == nil
	})
	return place
}

// startNftables is what nftables.service does with a file.
func startNftables(t *testing.T, _ *lab.Topology) func(...string) []string {
	dir := t.TempDir()
	const ruleset = `flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		%s
	}
}
`
	for name, rule := range map[string]string{"shut.nft": "tcp dport 2222 drop", "open.nft": "tcp dport 2222 accept"} {
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, ruleset, rule), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return func(args ...string) []string {
		return append([]string{"env", "--chdir=" + dir}, args...)
	}
}
