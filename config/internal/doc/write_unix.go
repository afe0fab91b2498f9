//go:build unix

package doc

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file to the owner and group of another, where these are not what it
// has anyway.
func keepOwner(f *os.File, like fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	has, ok := info.Sys().(*syscall.Stat_t)
	wants, ok2 := like.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || has.Uid == wants.Uid && has.Gid == wants.Gid {
		return nil
	}
	return f.Chown(int(wants.Uid), int(wants.Gid))
}

// syncFolder makes a rename last.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
