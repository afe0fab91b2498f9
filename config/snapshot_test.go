package config

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSnapshot makes a configuration again after all of its files have gone.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nftknockd.toml")
	for name, text := range map[string]string{
		file:                            "[door.ssh]\nports = [22]\nsequence = [7214, 8391, 6127]\notp_secret_file = \"ssh.otp\"\notp_base = 20000\nspa_keys = [\"alice.spa\"]\n",
		filepath.Join(dir, "ssh.otp"):   "ORSXG5BANRXW4ZZAON2HE2LOM4QHI2DBOQQGS4Y=\n",
		filepath.Join(dir, "alice.spa"): "KEY_BASE64: " + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\nHMAC_KEY_BASE64: " + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 64))) + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := want.Snapshot()
	if again, err := Load(file); err != nil || !bytes.Equal(again.Snapshot(), snapshot) {
		t.Errorf("the same files, another snapshot (%v)", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Restore(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Doors, got.Doors); diff != "" {
		t.Error(diff)
	}
	if got.OTP["ssh"].Secret != want.OTP["ssh"].Secret || !got.SPA.Doors["ssh"].Keys[0].Key.Equal(want.SPA.Doors["ssh"].Keys[0].Key) {
		t.Error("the secrets are not the same")
	}
	if !bytes.Equal(got.Snapshot(), snapshot) {
		t.Error("what was made of a snapshot has another one")
	}
	for _, damaged := range [][]byte{nil, []byte("{"), []byte(`{"text":"W2Rvb3IuXQ=="}`), snapshot[:len(snapshot)/2]} {
		if _, err := Restore(damaged); err == nil {
			t.Errorf("%.40q: restored", damaged)
		}
	}
}
