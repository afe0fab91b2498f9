package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config", "nftknock", "hosts.toml")
	p := fullProfile()
	if err := Add(path, p, someSPAKey, false); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(filepath.Dir(path), p.SPAKeyFile)
	for name, want := range map[string]fs.FileMode{filepath.Dir(path): 0o700, path: 0o600, keys: 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
	if data, err := os.ReadFile(keys); err != nil || string(data) != someSPAKey {
		t.Errorf("%s: %q, %v", keys, data, err)
	}
	profiles, err := Load(path)
	if err != nil || len(profiles) != 1 || profiles[0].SPAKeyFile != keys {
		t.Errorf("loaded: %v, %v", profiles, err)
	}

	other := newProfile(p.Name, 1)
	if err := Add(path, other, "", false); !errors.Is(err, ErrExists) {
		t.Errorf("a profile of the same name: %v", err)
	}
	if err := Add(path, other, "", true); err != nil {
		t.Error(err)
	}
	if err := Add(path, p, someSPAKey, true); err != nil {
		t.Error(err)
	}
}
