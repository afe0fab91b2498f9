package knocker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// lockTimeout is how long one program waits for another one that knocks at the same
	// host: for the next code of that one, and for the port to answer it. After that it
	// knocks as well: the gate copes with several at a time.
	lockTimeout = time.Minute

	// lockPause is how often a lock that is held is tried.
	lockPause = 20 * time.Millisecond
)

// errLocked is that another program has the lock.
var errLocked = errors.New("locked by another program")

// lockHost makes this the only program of its user that knocks at a host. Others wait, and
// find the door open. The system takes the lock away when the program ends, however
// it does. Where there can be no lock, there is none.
func (k *Knocker) lockHost() (unlock func()) {
	nothing := func() {}
	f, err := openLock(k.Host)
	if err != nil {
		k.say("knocking without a lock: %v", err)
		return nothing
	}
	err = tryLock(f)
	if errors.Is(err, errLocked) {
		k.say("waiting for another nftknock, which knocks at %s", k.Host)
		stop := showWaiting(k.Stderr, "waiting for another nftknock, which knocks at "+k.Host, onTerminal)
		ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
		for errors.Is(err, errLocked) && sleep(ctx, lockPause) {
			err = tryLock(f)
		}
		cancel()
		stop()
	}
	if err != nil {
		k.say("knocking without a lock: %v", err)
		f.Close()
		return nothing
	}
	return func() { f.Close() }
}

// openLock opens the file that is locked for a host. It stays where it is: removing it
// while another program waits for it would give each a lock of its own. Its name does not
// tell the host.
func openLock(host string) (*os.File, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "nftknock", "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.ToLower(host))))[:16]
	return os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
}
