package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"nftknock/config"
)

// daemonUser is whom the unit's daemon runs as (sysusers.d).
const daemonUser = "nftknock"

// DaemonObstacles returns why the unit's daemon cannot read what a configuration needs, a
// line each with how to put that right; nil where there is no such user, or the unit does not read
// the file.
func DaemonObstacles(file string, cfg *config.Config) []string {
	u, err := user.Lookup(daemonUser)
	if err != nil || file != config.DefaultFile {
		return nil
	}
	var r fileReader
	ids, err := u.GroupIds()
	if err != nil {
		ids = []string{u.Gid}
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err == nil {
			r.groups = append(r.groups, uint32(gid))
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil
	}
	r.user = uint32(uid)
	_, secrets := cfg.Files()
	return r.obstacles(file, secrets)
}

// A fileReader is somebody who is not root.
type fileReader struct {
	user   uint32
	groups []uint32
}

// obstacles says what keeps the reader from a configuration, and from the secrets that it
// names, by their modes and owners; of access control lists it knows nothing.
func (r fileReader) obstacles(file string, secrets []string) []string {
	var found []string
	note := func(path, what, remedy string) {
		line := fmt.Sprintf("%s: the daemon, user %s, cannot %s: %s", path, daemonUser, what, remedy)
		if !slices.Contains(found, line) {
			found = append(found, line)
		}
	}
	for _, path := range append([]string{file}, secrets...) {
		for _, dir := range foldersAbove(path) {
			if !r.may(dir, 0o1) {
				note(dir, "get into the folder", fmt.Sprintf("chgrp %s %s && chmod g+x %[2]s", daemonUser, dir))
			}
		}
		switch {
		case r.may(path, 0o4):
		case path == file:
			note(path, "read it", fmt.Sprintf("chgrp %s %s && chmod 640 %[2]s", daemonUser, path))
		default: // nobody but its owner may read a secret
			note(path, "read it", fmt.Sprintf("chown %s %s", daemonUser, path))
		}
	}
	return found
}

// may reports whether the mode of a file has a bit for the reader: 4 to read, 1 to go
// through a folder (inode(7)). What is not there is in nobody's way.
func (r fileReader) may(path string, bit fs.FileMode) bool {
	info, err := os.Stat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	owner := info.Sys().(*syscall.Stat_t)
	switch {
	case owner.Uid == r.user:
		bit <<= 6
	case slices.Contains(r.groups, owner.Gid):
		bit <<= 3
	}
	return info.Mode().Perm()&bit != 0
}

// foldersAbove returns the folders that a file is in, from the top.
func foldersAbove(path string) []string {
	var folders []string
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		folders = append(folders, dir)
		if dir == filepath.Dir(dir) || strings.HasPrefix(dir, ".") {
			slices.Reverse(folders)
			return folders
		}
	}
}
