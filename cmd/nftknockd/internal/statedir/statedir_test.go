package statedir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		named, given string
		want         Dir
	}{
		{"", "", Default},
		{"", "/var/lib/private/nftknock", "/var/lib/private/nftknock"},
		{"", "/var/lib/a:/var/lib/b", "/var/lib/a"},
		{"/srv/state", "/var/lib/a", "/srv/state"},
	} {
		t.Setenv("STATE_DIRECTORY", tt.given)
		if got := Find(tt.named); got != tt.want {
			t.Errorf("Find(%q) with %q: %s", tt.named, tt.given, got)
		}
	}
}

// Whoever asks, and however many at once, gets the same secret.
func TestSecret(t *testing.T) {
	dir := Dir(filepath.Join(t.TempDir(), "not", "there"))
	if _, err := dir.Secret(false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without making it: %v", err)
	}
	got := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = dir.Secret(true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, secret := range got {
		if len(secret) != secretSize || !bytes.Equal(secret, got[0]) {
			t.Errorf("%x, and %x", got[0], secret)
		}
	}
	if again, err := dir.Secret(false); err != nil || !bytes.Equal(again, got[0]) {
		t.Errorf("%x, %v", again, err)
	}
	files, err := os.ReadDir(string(dir))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	for path, want := range map[string]fs.FileMode{string(dir): fs.ModeDir | 0o700, filepath.Join(string(dir), "secret"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestSecretDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dir(dir).Secret(true); err == nil {
		t.Error("a damaged secret was taken")
	}
}
