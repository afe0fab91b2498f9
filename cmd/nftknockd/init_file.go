package main

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// daemonGroup is whom a package's daemon runs as (sysusers.d), and who therefore has
// to be able to read the configuration.
const daemonGroup = "nftknock"

// writeNewConfig writes a file that is not there yet, and returns its mode: 0600, or
// where root writes it and the daemon has a group of its own, 0640 of root and that
// group, as tmpfiles.d has it: the unit's daemon is not root and could not read
// the file otherwise.
func writeNewConfig(path, text string) (fs.FileMode, error) {
	group := -1
	if g, err := user.LookupGroup(daemonGroup); err == nil && os.Geteuid() == 0 {
		group, _ = strconv.Atoi(g.Gid)
	}
	if err := makeParent(path, group); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	mode, err := fill(f, text, group)
	if err != nil {
		os.Remove(path) // half of it would be in the way of the next try
	}
	return mode, err
}

func fill(f *os.File, text string, group int) (fs.FileMode, error) {
	mode := fs.FileMode(0o600)
	if group >= 0 {
		mode = 0o640
		if err := f.Chown(0, group); err != nil {
			return 0, err
		}
	}
	// Whatever the umask says.
	if err := f.Chmod(mode); err != nil {
		return 0, err
	}
	if _, err := f.WriteString(text); err != nil {
		return 0, err
	}
	return mode, f.Sync()
}

// makeParent makes the folder of a file, if it is not there: /etc/nftknock where no
// package has.
func makeParent(path string, group int) error {
	dir := filepath.Dir(path)
	err := os.Mkdir(dir, 0o750)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err == nil && group >= 0:
		return os.Chown(dir, 0, group)
	}
	return err
}
