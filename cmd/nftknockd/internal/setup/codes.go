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
	"syscall"

	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
)

// ErrThere says that a secret's file is there already. It is never overwritten.
var ErrThere = errors.New("is there already, and clients may rely on it")

// WriteSecret makes a file that nobody but the daemon can read, or root where the
// daemon is root.
func WriteSecret(path, configFile, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s %w", path, ErrThere)
	}
	if err != nil {
		return err
	}
	err = giveToDaemon(f, configFile)
	if err == nil {
		_, err = f.WriteString(secret + "\n")
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return err
	}
	return statedir.SyncDir(filepath.Dir(path))
}

// FreeCodeBase returns the first of knock.CodePorts ports that neither the
// configuration nor the host uses, or 0 if there is none. It is a whole thousand, so
// that the digits of a code can be seen in the ports.
func FreeCodeBase(cfg *config.Config, host config.Host) uint16 {
	used := make(map[uint16]bool)
	for p := range host.Listening {
		used[p.Number] = true
	}
	for _, d := range cfg.Doors {
		for _, p := range slices.Concat(d.Ports, d.Sequence, d.CloseSequence) {
			used[p.Number] = true
		}
	}
	free := func(base int) bool {
		if base <= int(host.EphemeralLast) && base+knock.CodePorts > int(host.EphemeralFirst) {
			return false
		}
		if slices.ContainsFunc(cfg.Doors, func(d knock.Door) bool {
			return d.CodeBase != 0 && base < int(d.CodeBase)+knock.CodePorts && int(d.CodeBase) < base+knock.CodePorts
		}) {
			return false
		}
		for p := range used {
			if int(p) >= base && int(p) < base+knock.CodePorts {
				return false
			}
		}
		return true
	}
	// Low ports are the likelier ones to be somebody's some day.
	for base := 20000; base+knock.CodePorts <= 65536; base += 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	for base := 19000; base > 1024; base -= 1000 {
		if free(base) {
			return uint16(base)
		}
	}
	return 0
}

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
