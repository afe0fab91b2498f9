package functional

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nftknock/integration/lab"
)

// TestLastGood boots a host that was guarded before, with everything that keeps a file from
// being put in force. The doors are shut, loudly; and as soon as the cause has gone the
// file is in force.
func TestLastGood(t *testing.T) {
	const newSequence = "sequence = [7214, 8391, 6128]"
	changed := strings.Replace(lab.SSHDoor, "sequence = [7214, 8391, 6127]", newSequence, 1)
	otpDoor := lab.SSHDoor + "otp_secret_file = \"ssh.otp\"\notp_base = 20000\n"
	secret := []byte("ORSXG5BANRXW4ZZAON2HE2LOM4QHI2DBOQQGS4Y=\n")
	tests := []struct {
		name    string
		config  string // empty: lab.SSHDoor
		fail    func(t *testing.T, h *lab.Host, file string)
		repair  func(t *testing.T, h *lab.Host, file string) // nil: changed is written
		unheard bool
		says    string
	}{
		{
			name: "no file",
			fail: func(t *testing.T, _ *lab.Host, file string) { remove(t, file) },
			says: "no such file",
		},
		{
			name: "a file with errors",
			fail: func(t *testing.T, _ *lab.Host, file string) { write(t, file, "[door.ssh]\nport = 22\n") },
			says: `nftknockd.toml:2: door ssh: unknown key`,
		},
		{
			name: "a directory",
			fail: func(t *testing.T, _ *lab.Host, file string) {
				remove(t, file)
				if err := os.Mkdir(file, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			repair: func(t *testing.T, _ *lab.Host, file string) {
				remove(t, file)
				write(t, file, changed)
			},
			says: "is a directory",
		},
		{
			name:   "a secret's file gone",
			config: otpDoor,
			fail: func(t *testing.T, _ *lab.Host, file string) {
				remove(t, filepath.Join(filepath.Dir(file), "ssh.otp"))
			},
			says: "ssh.otp is not there",
		},
		{
			name: "log group taken",
			fail: func(t *testing.T, h *lab.Host, _ string) {
				taker = lab.StartDaemon(t, otherState(t, h), "table = \"other\"\n")
			},
			repair:  func(*testing.T, *lab.Host, string) { taker.Stop(syscall.SIGTERM) },
			unheard: true,
			says:    "another program uses NFLOG group 7022",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := lab.NewTopology(t, lab.IPv4)
			s.Server.ListenTCP(t, 22)
			config := test.config
			if config == "" {
				config = lab.SSHDoor
			}
			file := lab.WriteConfig(t, config)
			write(t, filepath.Join(filepath.Dir(file), "ssh.otp"), string(secret))
			lab.StartDaemonFile(t, s.Server, file).Stop(syscall.SIGKILL)
			s.Server.Run(t, "nft", "delete", "table", "inet", lab.GateTable) // as a reboot does
			s.ExpectOpen(t, s.Stranger, "22")

			test.fail(t, s.Server, file)
			d := lab.StartDaemonFile(t, s.Server, file)
			s.ExpectShut(t, s.Stranger, "22", lab.Silent)
			first, _, _ := strings.Cut(d.Tell(t, "status"), "\n")
			for _, want := range []string{"degraded: guarding by the last good configuration: ", test.says} {
				if !strings.Contains(first, want) {
					t.Errorf("the first line of status lacks %q:\n%s", want, first)
				}
			}
			lab.ExpectLine(t, d, "level=ERROR", "degraded", "guarding by the last good configuration", test.says)
			expectMetrics(t, d, "nftknock_last_good 1", "nftknock_healthy 0")
			if !test.unheard && test.config == "" {
				s.Knock(t, s.Source, lab.SSHSequence...)
				s.WaitIn(t, "ssh", s.Source)
			}

			if test.repair != nil {
				test.repair(t, s.Server, file)
			} else {
				write(t, file, changed)
			}
			lab.Eventually(t, "the file is in force", func() bool {
				return strings.HasPrefix(d.Tell(t, "status"), "guarding\n")
			})
			expectMetrics(t, d, "nftknock_last_good 0", "nftknock_healthy 1")
			lab.ExpectLine(t, d, "recovered")
			s.ExpectShut(t, s.Stranger, "22", lab.Silent)
			sequence := []string{"7214", "8391", "6128"}
			if test.unheard {
				sequence = lab.SSHSequence
			}
			s.Knock(t, s.Neighbour, sequence...)
			s.WaitIn(t, "ssh", s.Neighbour)
		})
	}
}

// taker has the log group of the test that runs.
var taker *lab.Daemon

// otherState is the host, for a daemon with a state directory of its own.
func otherState(t *testing.T, h *lab.Host) *lab.Host {
	other := *h
	other.State = t.TempDir()
	return &other
}

// TestLastGoodCannotBeKept has a state directory that takes nothing: the doors are shut,
// the daemon says so, and keeps it as soon as it can.
func TestLastGoodCannotBeKept(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	kept := filepath.Join(s.Server.State, "last_good.json")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)
	if status := d.Tell(t, "status"); !strings.HasPrefix(status, "degraded: the last good configuration cannot be kept: ") {
		t.Error(status)
	}
	remove(t, kept)
	lab.Eventually(t, "it is kept", func() bool {
		info, err := os.Stat(kept)
		return err == nil && info.Mode() == 0o600
	})
	lab.Eventually(t, "it has recovered", func() bool { return strings.HasPrefix(d.Tell(t, "status"), "guarding\n") })
}

func expectMetrics(t *testing.T, d *lab.Daemon, lines ...string) {
	t.Helper()
	text := d.Host.Run(t, "curl", "-sS", "--unix-socket", d.Socket, "http://nftknockd/metrics")
	for _, line := range lines {
		if !lab.HasLine(text, line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(fmt.Errorf("the test: %w", err))
	}
}
