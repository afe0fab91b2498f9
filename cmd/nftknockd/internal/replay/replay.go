// Package replay remembers the packets of single packet authorization that have opened a
// door, so that none opens one again: not after the daemon was killed, and not after the
// machine went down.
//
// A packet is claimed in memory, which takes microseconds, and refused if it was claimed
// before. The claim is then recorded on disk, which waits for the disk, and only after
// that may a door open. Whoever dies in between has opened nothing.
package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Digest identifies a packet.
type Digest [32]byte

const (
	// keep is for how long a packet is remembered after the time that it says it was made. It
	// is twice the longest age that a configuration can accept, so that a packet is still known
	// when a reload accepts older ones, or the clock was set back by an hour.
	keep = 2 * time.Hour

	// maxPackets is how many packets are remembered: 18 a second for two hours, all of people
	// with a key. More are refused.
	maxPackets = 1 << 17

	// tidy is how many records the file has at least before those are dropped that are not
	// needed any more.
	tidy = 4096
)

// recordSize is that of a digest and the packet's time, in seconds of Unix, big endian.
const recordSize = len(Digest{}) + 8

// ErrReplayed says that a packet was used before.
var ErrReplayed = errors.New("the packet was used before")

// ErrFull says that a packet is refused because no more can be remembered.
var ErrFull = fmt.Errorf("%d packets came within %v: no more can be remembered", maxPackets, keep)

// A Store is the packets that were used. Its methods may be called at any time.
type Store struct {
	path string
	max  int

	mu   sync.Mutex // guards used; never held while the disk is waited for
	used map[Digest]int64

	lock *os.File // the directory, locked while the store is open

	disk    sync.Mutex // guards the file
	file    *os.File
	records int   // in the file
	broken  error // why the file cannot be appended to
}

// Open reads the packets that a directory remembers, or makes it. The directory is the
// process's alone until it ends or closes the store: what two wrote, neither would know of
// the other's.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(dir, "spent"), max: maxPackets, used: make(map[Digest]int64), lock: lock}
	if err := s.load(); err != nil {
		lock.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) load() error {
	err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return fmt.Errorf("another nftknockd uses %s: give each a state directory of its own", filepath.Dir(s.path))
	}
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w", filepath.Dir(s.path), err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for len(data) >= recordSize {
		// A record that a crash left half written was never relied on.
		s.used[Digest(data)] = int64(binary.BigEndian.Uint64(data[len(Digest{}):]))
		data = data[recordSize:]
	}
	return s.rewrite()
}

// Claim claims a packet that says it was made at a time. It fails with [ErrReplayed], or
// with [ErrFull].
func (s *Store) Claim(d Digest, made, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.used[d]; ok {
		return ErrReplayed
	}
	if len(s.used) >= s.max {
		s.forget(now)
	}
	if len(s.used) >= s.max {
		return ErrFull
	}
	s.used[d] = made.Unix()
	return nil
}

// forget drops what is too old to be accepted. The lock is held.
func (s *Store) forget(now time.Time) {
	oldest := now.Add(-keep).Unix()
	for d, made := range s.used {
		if made < oldest {
			delete(s.used, d)
		}
	}
}

// Release gives up a claim that could not be recorded.
func (s *Store) Release(d Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.used, d)
}

// Record writes claims to disk. When it returns nil they survive whatever happens.
func (s *Store) Record(now time.Time, claims ...Digest) error {
	var records []byte
	s.mu.Lock()
	for _, d := range claims {
		records = append(records, d[:]...)
		records = binary.BigEndian.AppendUint64(records, uint64(s.used[d]))
	}
	s.mu.Unlock()

	s.disk.Lock()
	defer s.disk.Unlock()
	if s.broken == nil {
		s.broken = s.append(records)
		s.records += len(claims)
	}
	if s.broken == nil && s.records < 2*s.needed(now) {
		return nil
	}
	// Too many that nobody needs, or a disk that failed and left who knows what.
	s.broken = s.rewrite()
	return s.broken
}

func (s *Store) append(records []byte) error {
	if _, err := s.file.Write(records); err != nil {
		return err
	}
	return s.file.Sync()
}

// needed returns how many records the file needs, and at least tidy.
func (s *Store) needed(now time.Time) int {
	if s.records < 2*tidy {
		return tidy + 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	return max(len(s.used), tidy)
}

// rewrite writes all that is remembered into a new file, which takes the old one's place
// when it is whole.
func (s *Store) rewrite() error {
	var data []byte
	s.mu.Lock()
	count := len(s.used)
	for d, made := range s.used {
		data = append(data, d[:]...)
		data = binary.BigEndian.AppendUint64(data, uint64(made))
	}
	s.mu.Unlock()

	dir := filepath.Dir(s.path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		os.Remove(f.Name())
		return errors.Join(err, f.Close())
	}
	if s.file != nil {
		s.file.Close() // what it holds has another name now, or none
	}
	s.file, s.records = f, count
	return nil
}

// syncDir makes the names in a directory survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Close gives the file back.
func (s *Store) Close() error {
	s.disk.Lock()
	defer s.disk.Unlock()
	return errors.Join(s.file.Close(), s.lock.Close())
}
