package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// giveToDaemon gives a file to the user that the daemon runs as. That is the one named
// like the group that may read the configuration, as the package makes them; where
// the group is root's, or somebody else than root asks, the file stays whose it is.
func giveToDaemon(f *os.File, configFile string) error {
	info, err := os.Stat(configFile)
	if err != nil {
		return err
	}
	gid := info.Sys().(*syscall.Stat_t).Gid
	if os.Geteuid() != 0 || gid == 0 {
		return nil
	}
	group, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	if err != nil {
		return fmt.Errorf("whose is the secret to be? The group of %s: %w", configFile, err)
	}
	owner, err := user.Lookup(group.Name)
	if err != nil {
		return fmt.Errorf("whose is the secret to be? The user named like the group of %s: %w", configFile, err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	return f.Chown(uid, int(gid))
}
