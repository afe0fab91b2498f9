// Package statedir is the directory that keeps what has to outlast the daemon.
package statedir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A Dir is the daemon's state directory. It is for the daemon's user alone.
type Dir string

// Default is StateDirectory= of the unit.
const Default Dir = "/var/lib/nftknock"

// Find returns the directory named on the command line, or else the one that the service
// manager gives (systemd.exec(5), StateDirectory=), or else Default.
func Find(named string) Dir {
	given, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	switch {
	case named != "":
		return Dir(named)
	case given != "":
		return Dir(given)
	}
	return Default
}

// Events returns the file of the journal of events.
func (d Dir) Events() string { return filepath.Join(string(d), "events.jsonl") }

const secretSize = 32 // bytes

// Secret returns the secret that the decoys are derived from: 32 random bytes that never
// change. If there is none it makes it, or without create returns an error that is
// [fs.ErrNotExist].
func (d Dir) Secret(create bool) ([]byte, error) {
	path := filepath.Join(string(d), "secret")
	data, err := os.ReadFile(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := d.makeSecret(path); err != nil {
			return nil, fmt.Errorf("cannot make the secret of the decoys: %w", err)
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret of the decoys: %w", err)
	}
	if len(data) != secretSize {
		return nil, fmt.Errorf("invalid secret in %s: it has %d bytes, want %d: remove it, and other decoys are chosen", path, len(data), secretSize)
	}
	return data, nil
}

// makeSecret makes the whole secret or none. A secret that another process makes at the
// same time wins.
func (d Dir) makeSecret(path string) error {
	data := make([]byte, secretSize)
	rand.Read(data) // never fails
	temp, err := d.writeTemp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Replace writes a file so that after a crash it holds either its old contents or all of
// the data. Once Replace has returned nil it is the data.
func (d Dir) Replace(path string, data []byte) error {
	temp, err := d.writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// writeTemp writes data to a new file beside path and returns its name. It makes missing
// directories.
func (d Dir) writeTemp(path string, data []byte) (string, error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := d.makeDir(dir); err != nil {
			return "", err
		}
		if err := SyncDir(filepath.Dir(dir)); err != nil {
			return "", err
		}
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = giveToOwner(f, dir)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// makeDir makes a directory, of whose the one above is.
func (d Dir) makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil || dir == string(d) {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return giveToOwner(f, filepath.Dir(dir))
}

// giveToOwner gives what root makes to whose directory it is: the daemon that is not root
// has to read it.
func giveToOwner(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// SyncDir makes the names in a directory survive a crash.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
