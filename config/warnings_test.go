package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

func TestWarnings(t *testing.T) {
	host := Host{
		EphemeralFirst: 32768,
		EphemeralLast:  60999,
		Reserved:       map[uint16]bool{50000: true},
		Listening:      map[knock.Port]bool{tcp(80): true, udp(5353): true, udp(51820): true, tcp(40000): true},
	}
	tests := []struct {
		name string
		toml string
		want []string
	}{
		{
			name: "no door",
			toml: `table = "gate"`,
			want: []string{"f.toml: no door is configured: nothing is guarded: write a [door.ssh], say"},
		},
		{
			name: "nothing unwise",
			toml: "[door.ssh]\nports = [22]\nsequence = [2201, 3302, 1103]\nclose_sequence = [1103, 3302, 2201]",
		},
		{
			name: "the same port again is no order",
			toml: "[door.ssh]\nports = [22]\nsequence = [2201, 2201, 3302]\nclose_sequence = [3302, 3302, 2201]",
		},
		{
			name: "few, and in order",
			toml: "[door.ssh]\nports = [22]\nsequence = [2201, \"3302:udp\"]\nclose_sequence = [1103]",
			want: []string{
				"f.toml:3: door ssh: sequence: fewer than three knocks can be guessed, or hit by chance: use three or more",
				"f.toml:3: door ssh: sequence: the knocks are in ascending order, as those of a port scan: mix them",
				"f.toml:4: door ssh: close_sequence: fewer than three knocks can be guessed, or hit by chance: use three or more",
			},
		},
		{
			name: "the tutorial's",
			toml: "[door.ssh]\nports = [22]\nclose_sequence = [9000, \"8000:udp\", 7000]\nsequence = [7000, \"8000:udp\", 9000]",
			want: []string{
				"f.toml:4: door ssh: sequence: the knocks are in ascending order, as those of a port scan: mix them",
				"f.toml:4: door ssh: sequence: this is the sequence of the tutorial that everybody follows: choose one of your own",
				"f.toml:3: door ssh: close_sequence: the knocks are in descending order, as those of a port scan: mix them",
			},
		},
		{
			name: "the tutorial's to close",
			toml: "[door.ssh]\nports = [22]\nclose_sequence = [9000, 8000, 7000]\nsequence = [2201, 3302, 1103]",
			want: []string{
				"f.toml:3: door ssh: close_sequence: the knocks are in descending order, as those of a port scan: mix them",
				"f.toml:3: door ssh: close_sequence: this is the sequence of the tutorial that everybody follows: choose one of your own",
			},
		},
		{
			name: "ports of the host",
			toml: "[door.ssh]\nports = [22]\nsequence = [32767, 61000, 60999, 80, \"80:udp\", 32768, 80]\n" +
				"[door.web]\nports = [443]\nsequence = [2201, 3302, 1103]\nclose_sequence = [3302, \"5353:udp\", 2201]",
			want: []string{
				"f.toml:3: door ssh: sequence: knock 7 comes back to the port of knock 4: of two people behind one address who knock " +
					"at once some 17 % have to knock again: let each port come once",
				"f.toml:3: door ssh: sequence: knock 3 is in the ephemeral range (32768-60999), which the host's own programs use: " +
					"their traffic can count as knocks: choose a port outside of it",
				"f.toml:3: door ssh: sequence: knock 4 is on a port that a program of the host listens on: " +
					"others may use it, but a source that does amid its own knock has to knock again: put it first, or choose a port that nothing uses",
				"f.toml:3: door ssh: sequence: knock 6 is in the ephemeral range (32768-60999), which the host's own programs use: " +
					"their traffic can count as knocks: choose a port outside of it",
				"f.toml:7: door web: close_sequence: knock 2 is on a port that a program of the host listens on: " +
					"others may use it, but a source that does amid its own knock has to knock again: put it first, or choose a port that nothing uses",
			},
		},
		{
			name: "a service on the first knock",
			toml: "[door.ssh]\nports = [22]\nsequence = [80, 3302, 1103]",
			want: []string{
				"f.toml:3: door ssh: sequence: knock 1 is on a port that a program of the host listens on: each connection to it begins " +
					"an attempt; more than 7 of a source amid its own knock spoil that: choose a port that nothing uses",
			},
		},
		{
			name: "few knocks, in order, before a code",
			toml: "[door.ssh]\nports = [22]\nsequence = [2201, 3302]\nclose_sequence = [2202, 3303]\n" +
				"otp_secret_file = \"ssh.otp\"\notp_base = 30768",
			want: []string{
				"f.toml:4: door ssh: close_sequence: fewer than three knocks can be guessed, or hit by chance: use three or more",
				"f.toml:4: door ssh: close_sequence: the knocks are in ascending order, as those of a port scan: mix them",
			},
		},
		{
			name: "a code alone",
			toml: "[door.ssh]\nports = [22]\notp_secret_file = \"ssh.otp\"\notp_base = 30768",
			want: []string{
				"f.toml:4: door ssh: otp_base: no knock comes before the code, of which one in 333,333 is right: " +
					"who has very many addresses, as with IPv6, can try enough of them: write a sequence too",
			},
		},
		{
			name: "open forever, and guarded ports that the host may take",
			toml: "[door.vpn]\nports = [\"51820:udp\", 40000, 50000, 60500]\nsequence = [2201, 3302, 1103]\nopen_timeout = \"forever\"\n" +
				"[door.two]\nports = [443]\nsequence = [2202, 3303, 1104]\nopen_timeout = \"forever\"\nclose_sequence = [5, 7, 6]",
			want: []string{
				"f.toml:4: door vpn: open_timeout: who is let in stays in: no close_sequence puts anybody out, only the admin can: " +
					"write a time, or a close_sequence",
				"f.toml:2: door vpn: ports: 60500 is in the ephemeral range (32768-60999), and nothing listens on it yet: " +
					"a connection of the host's own can be given it first: add it to net.ipv4.ip_local_reserved_ports",
			},
		},
		{
			name: "triggers",
			toml: "[door.wake]\nsequence = [2201, 80, 1103]\n" + // one listens on it, which is as meant
				"[door.forgot]\nsequence = [2202, 3303, 1104]\nopen_timeout = \"forever\"\n" +
				"[hook.wake]\nrun = [\"/bin/true\"]\ndoor = \"wake\"\n[hook.scan]\nrun = [\"/bin/true\"]\non = [\"scan\"]",
			want: []string{
				"f.toml:3: door forgot: it has no ports, and so guards nothing, and no hook is for it: " +
					"write what it guards, such as [22, \"51820:udp\"], or a hook",
			},
		},
		{
			name: "ports of codes that the host uses",
			toml: "[door.ssh]\nports = [22]\notp_secret_file = \"ssh.otp\"\notp_base = 59000\nsequence = [2203]\n" +
				"[door.web]\nports = [8443]\nsequence = [2201]\notp_secret_file = \"ssh.otp\"\notp_base = 5353\n" +
				"[door.old]\nports = [8443]\nsequence = [2202]\notp_secret_file = \"ssh.otp\"\notp_base = 79",
			want: []string{
				"f.toml:4: door ssh: otp_base: its ports, 59000-60999, meet the ephemeral range (32768-60999): connections that the host " +
					"makes do no harm, but who connects to a program that listens there would be taken for guessing, and muted: " +
					"choose ports outside of it",
				"f.toml:15: door old: otp_base: a program of the host listens on 80, one of its ports, 79-2078: " +
					"who connects to it would be taken for guessing, and muted: choose ports that nothing uses",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, texts(mustParse(t, tt.toml).Warnings(host))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWarningsUnknownHost(t *testing.T) {
	c := mustParse(t, "[door.ssh]\nports = [22]\nsequence = [40000, 80, 1103]")
	if w := c.Warnings(Host{}); len(w) > 0 {
		t.Error(w)
	}
}

func TestWarningsMode(t *testing.T) {
	tests := []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o640, ""},
		{0o644, ": mode 0644: others can read the sequences: chmod o-rwx"},
		{0o646, ": mode 0646: others can change the sequences: chmod o-rwx"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "f.toml")
		if err := os.WriteFile(path, []byte(Reference), 0o600); err != nil {
			t.Fatal(err)
		}
		// Not by WriteFile, which the umask limits.
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if tt.want != "" {
			want = []string{path + tt.want}
		}
		if diff := cmp.Diff(want, texts(c.Warnings(Host{}))); diff != "" {
			t.Error(diff)
		}
	}
}

func texts(problems []Problem) []string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return lines
}
