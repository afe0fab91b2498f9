//go:build unix

package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

func TestParseOTP(t *testing.T) {
	tests := []struct {
		name, sequence string
		want           []knock.Port
	}{
		{"before the code", "sequence = [7000]", []knock.Port{tcp(7000)}},
		{"empty", "sequence = []", []knock.Port{}},
		{"missing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("/etc/nftknock/f.toml", []byte("[door.ssh]\nports = [22]\notp_secret_file = \"ssh.otp\"\notp_base = 40000\n"+tt.sequence))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]OTP{"ssh": {File: "/etc/nftknock/ssh.otp"}}, c.OTP); diff != "" {
				t.Error(diff)
			}
			want := defaultDoor("ssh")
			want.CodeBase, want.Sequence = 40000, tt.want
			if diff := cmp.Diff([]knock.Door{want}, c.Doors); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// rfcSecret is the one of RFC 6238, appendix B, "12345678901234567890".
const rfcSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

// loadOTP loads a configuration of one door, whose secret is in ssh.otp beside it.
func loadOTP(t *testing.T, dir string) (*Config, error) {
	t.Helper()
	path := filepath.Join(dir, "f.toml")
	if err := os.WriteFile(path, []byte("[door.ssh]\nports = [22]\notp_base = 40000\notp_secret_file = \"ssh.otp\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestLoadOTP(t *testing.T) {
	for name, text := range map[string]string{
		"as it is":   rfcSecret,
		"as written": " gezd gnbv gy3t qojq\n\tgezd gnbv gy3t qojq ======\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			secret := filepath.Join(dir, "ssh.otp")
			if err := os.WriteFile(secret, []byte(text), 0o400); err != nil {
				t.Fatal(err)
			}
			c, err := loadOTP(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]OTP{"ssh": {File: secret, Secret: rfcSecret}}, c.OTP); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadOTPRefused(t *testing.T) {
	file := func(mode os.FileMode, text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"missing", func(*testing.T, string) {}, ` is not there: "nftknockd otp new ssh" makes it`},
		{"readable by the group", file(0o640, rfcSecret), " has mode 0640: nobody but its owner may have access: chmod 600"},
		{"executable", file(0o700, rfcSecret), " has mode 0700: nobody but its owner may have access: chmod 600"},
		{"empty", file(0o600, ""), " holds 0 bits: at least 128 are needed (RFC 4226, section 4), and 160 recommended"},
		{"120 bits", file(0o600, rfcSecret[:24]), " holds 120 bits: at least 128 are needed (RFC 4226, section 4), and 160 recommended"},
		{
			"not base32", file(0o600, "0189"+rfcSecret),
			" does not hold base32: write the letters a to z and digits 2 to 7 that an authenticator app takes",
		},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, " is not a regular file"},
		{"a pipe that nobody writes to", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, " is not a regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "ssh.otp")
			tt.make(t, path)
			_, err := loadOTP(t, dir)
			want := filepath.Join(dir, "f.toml") + ":4: door ssh: otp_secret_file: " + path + tt.want
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// What is wrong with a secret is reported together with all else.
func TestLoadOTPAllErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.toml")
	text := "[door.ssh]\nports = [22]\notp_base = 40000\notp_secret_file = \"ssh.otp\"\nshut = \"slam\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if err == nil || strings.Count(err.Error(), "\n") != 1 ||
		!strings.Contains(err.Error(), ":4: door ssh: otp_secret_file: ") || !strings.Contains(err.Error(), ":5: door ssh: shut: ") {
		t.Error(err)
	}
}

func TestLoadWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	if _, err := loadOTP(t, dir); err == nil {
		t.Fatal("there is no secret")
	}
	c, err := LoadWithoutSecrets(filepath.Join(dir, "f.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]OTP{"ssh": {File: filepath.Join(dir, "ssh.otp")}}, c.OTP); diff != "" {
		t.Error(diff)
	}
}

func TestSecretHidesItself(t *testing.T) {
	const text = "JBSWY3DPEHPK3PXP"
	c := &Config{Scan: Scan{Seed: text}, OTP: map[string]OTP{"ssh": {Secret: text}}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%c"} {
		fmt.Fprintf(&out, verb+" "+verb+" ", Secret(text), c)
	}
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("text", "secret", Secret(text), "otp", c.OTP, "config", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", Secret(text), "otp", c.OTP, "scan", c.Scan)
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	for _, shown := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%d", []byte(text)[1:3])[1:6]} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("%q is in %s", shown, out.String())
		}
	}
}
