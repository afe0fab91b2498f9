package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pquerna/otp"
)

// writeConfig writes a configuration with one door, and more keys of it.
func writeConfig(t *testing.T, path, keys string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("[door.ssh]\nports = [22]\nsequence = [7011]\n"+keys), 0o600); err != nil {
		t.Fatal(err)
	}
}

func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Run(args, &out, &errs); status != exitDone {
		t.Fatalf("%q: status %d\n%s", args, status, &errs)
	}
	return out.String()
}

func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := Run(args, &out, &errs); status != exitFailed || errs.String() != want {
		t.Errorf("%q: status %d\n%s\nwant\n%s", args, status, &errs, want)
	}
}

// From a door without codes to one with them, doing what is printed.
func TestOTP(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.toml")
	secretFile := filepath.Join(dir, "ssh.otp")
	writeConfig(t, file, "")

	fails(t, "nftknockd: no door is named \"web\": there is ssh\n", "otp", "new", "web", "-c", file)
	fails(t, "nftknockd: door ssh takes no codes\nhint: nftknockd otp new ssh\n", "otp", "show", "ssh", "-c", file)
	printed := succeeds(t, "otp", "new", "ssh", "-c", file)
	const use = "to use it, add to [door.ssh] in %s:\n\notp_secret_file = \"ssh.otp\"\notp_base = 20000\n"
	fails(t, "nftknockd: "+secretFile+" is there already, and clients may rely on it\nhint: for another secret, remove the file first; "+
		fmt.Sprintf(strings.Replace(use, "it", "this one", 1), file), "otp", "new", "ssh", "-c", file)
	fails(t, "nftknockd: door ssh takes no codes yet\nhint: the secret is there: "+fmt.Sprintf(use, file), "otp", "show", "ssh", "-c", file)

	info, err := os.Stat(secretFile)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	var uri string
	var keys strings.Builder
	for line := range strings.Lines(printed) {
		switch {
		case strings.HasPrefix(line, "otpauth:"):
			uri = strings.TrimSpace(line)
		case strings.HasPrefix(line, "otp_"):
			keys.WriteString(line)
		}
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	if key.Secret()+"\n" != string(data) || key.Type() != "totp" || key.Period() != 30 || key.Digits() != otp.DigitsSix ||
		key.Algorithm() != otp.AlgorithmSHA1 || key.Issuer() != "nftknock" || !strings.HasPrefix(key.AccountName(), "ssh@") {
		t.Errorf("%s\n%s", uri, data)
	}
	if !strings.Contains(printed, "▀") {
		t.Errorf("no QR code in\n%s", printed)
	}

	writeConfig(t, file, keys.String())
	succeeds(t, "check", "-c", file)
	fails(t, "nftknockd: "+secretFile+" is there already, and clients may rely on it\n"+
		"hint: nftknockd client ssh prints it for a client once more; for another secret, remove the file first\n", "otp", "new", "ssh", "-c", file)
	shown := succeeds(t, "otp", "show", "ssh", "-c", file)
	if !strings.Contains(shown, "knock ") || strings.Contains(shown, key.Secret()) {
		t.Errorf("%s", shown)
	}
}

// A door that names its file gets it there, and nothing more to add.
func TestOTPNewConfigured(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.toml")
	writeConfig(t, file, "otp_base = 20000\notp_secret_file = \"phones\"\n")
	printed := succeeds(t, "otp", "new", "ssh", "--no-qr", "-c", file)
	if strings.Contains(printed, "▀") || strings.Contains(printed, "otp_base") {
		t.Errorf("%s", printed)
	}
	if _, err := os.Stat(filepath.Join(dir, "phones")); err != nil {
		t.Error(err)
	}
	succeeds(t, "check", "-c", file)
}

// Where the daemon's group may read the configuration, the secret is for its user.
func TestOTPNewOwner(t *testing.T) {
	daemon, err := user.Lookup("daemon")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, and a user named daemon with a group of the same name")
	}
	gid, err := strconv.Atoi(daemon.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "f.toml")
	writeConfig(t, file, "")
	if err := os.Chown(file, 0, gid); err != nil {
		t.Fatal(err)
	}
	succeeds(t, "otp", "new", "ssh", "--no-qr", "-c", file)
	info, err := os.Stat(filepath.Join(dir, "ssh.otp"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; fmt.Sprint(uid) != daemon.Uid || info.Mode() != 0o600 {
		t.Errorf("user %d, mode %v", uid, info.Mode())
	}
}
