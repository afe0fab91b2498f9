package statedir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// A stateDir is where the daemon keeps what has to outlast it. Nobody else may
// look into it.
type stateDir string

// defaultStateDir is StateDirectory= of the unit.
const defaultStateDir stateDir = "/var/lib/nftknock"

// stateDirOf returns the directory that was named, or else the one that the service
// manager gives (systemd.exec(5), StateDirectory=), or else the unit's.
func stateDirOf(named string) stateDir {
	given, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	switch {
	case named != "":
		return stateDir(named)
	case given != "":
		return stateDir(given)
	}
	return defaultStateDir
}

// addStateFlag lets a command be told of another state directory.
func addStateFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", "", "state `DIR`ectory (default $STATE_DIRECTORY, or "+string(defaultStateDir)+")")
}

// secretSize is that of the secret, in bytes.
const secretSize = 32

// secret returns what the decoys are chosen by: 32 random bytes, the same for ever. If
// there are none yet it makes them, or without create returns an error that is
// [fs.ErrNotExist].
func (s stateDir) secret(create bool) ([]byte, error) {
	path := filepath.Join(string(s), "secret")
	data, err := os.ReadFile(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := s.makeSecret(path); err != nil {
			return nil, fmt.Errorf("cannot make the secret of the decoys: %w", err)
		}
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the secret of the decoys: %w", err)
	}
	if len(data) != secretSize {
		return nil, fmt.Errorf("%s has %d bytes and not %d: remove it, and the decoys will be chosen anew", path, len(data), secretSize)
	}
	return data, nil
}

// makeSecret makes the secret whole, or not at all. One that somebody else makes at the
// same time stays.
func (s stateDir) makeSecret(path string) error {
	data := make([]byte, secretSize)
	rand.Read(data) // never fails
	temp, err := s.writeTemp(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replace puts data into a file such that after a crash, too, the file holds either
// what it held before or all of the data; and the data, once replace has returned nil.
func (s stateDir) replace(path string, data []byte) error {
	temp, err := s.writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeTemp writes data to a new file beside path, and returns its name. The
// directories that lead there are made if need be.
func (s stateDir) writeTemp(path string, data []byte) (string, error) {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return "", err
		}
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// syncDir has the names in a directory outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
