package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"nftknock/config/internal/doc"
)

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.toml")
	if err := os.WriteFile(path, []byte(Reference), 0o640); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(Host{}); len(w) > 0 {
		t.Error(w)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.toml")
	if err := os.WriteFile(wrong, []byte("table = 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, make([]byte, doc.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.toml")
	tests := []struct {
		path string
		want string
	}{
		{wrong, wrong + `:1: table: found a whole number: write a string, such as "nftknock"`},
		{large, large + ": is larger than 1 MiB, the most that is read: is it the right file?"},
		{missing, "open " + missing + ": no such file or directory\n" +
			`hint: "nftknockd init" writes a configuration; --config names another file`},
		{dir, "read " + dir + ": is a directory\nhint: --config names the file to read"},
	}
	for _, tt := range tests {
		if _, err := Load(tt.path); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	if _, err := Load(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	// Not by a file that cannot be read: root reads them all.
	const want = "the configuration holds secrets: read it as root, or as the user that nftknockd runs as"
	if got := hint(fs.ErrPermission); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
