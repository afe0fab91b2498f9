package replay

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Unix(1_800_000_000, 0)

func digest(n int) Digest { return sha256.Sum256(fmt.Append(nil, n)) }

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// killed is what is left of a daemon that was killed: a directory that nobody has locked.
func killed(s *Store) { s.lock.Close() }

// spend claims a packet and records it.
func spend(t *testing.T, s *Store, d Digest, made time.Time) {
	t.Helper()
	if err := s.Claim(d, made, made); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(made, d); err != nil {
		t.Fatal(err)
	}
}

func TestOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spa")
	s := open(t, dir)
	for n := range 100 {
		spend(t, s, digest(n), noon)
	}
	for range 3 {
		killed(s)
		s = open(t, dir)
		for n := range 100 {
			if err := s.Claim(digest(n), noon, noon); err != ErrReplayed {
				t.Fatalf("packet %d: %v", n, err)
			}
		}
		spend(t, s, digest(int(time.Now().UnixNano())), noon)
	}
	info, err := os.Stat(filepath.Join(dir, "spent"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestTogether: of claims of one packet at the same time, one wins.
func TestTogether(t *testing.T) {
	s := open(t, t.TempDir())
	for n := range 50 {
		var group sync.WaitGroup
		won := make(chan bool, 8)
		for range cap(won) {
			group.Go(func() {
				if err := s.Claim(digest(n), noon, noon); err == nil {
					won <- s.Record(noon, digest(n)) == nil
				}
			})
		}
		group.Wait()
		close(won)
		count := 0
		for range won {
			count++
		}
		if count != 1 {
			t.Fatalf("%d of the same packet", count)
		}
	}
}

// TestHalfRecord: a record that a crash cut off harms none before or after it.
func TestHalfRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	spend(t, s, digest(1), noon)
	path := filepath.Join(dir, "spent")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range recordSize {
		if err := os.WriteFile(path, append(data[:recordSize:recordSize], make([]byte, cut)...), 0o600); err != nil {
			t.Fatal(err)
		}
		killed(s)
		s = open(t, dir)
		spend(t, s, digest(2), noon)
		killed(s)
		s = open(t, dir)
		for n := 1; n <= 2; n++ {
			if err := s.Claim(digest(n), noon, noon); err != ErrReplayed {
				t.Fatalf("cut at %d, packet %d: %v", cut, n, err)
			}
		}
	}
}

// TestBounded: neither the file nor the memory grows without end, and what could still be
// accepted is not forgotten.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.max = 3 * tidy
	now := noon
	var batch []Digest
	for n := range 20 * tidy {
		now = now.Add(time.Second)
		if err := s.Claim(digest(n), now, now); err != nil {
			t.Fatalf("packet %d: %v", n, err)
		}
		if batch = append(batch, digest(n)); len(batch) == 512 {
			if err := s.Record(now, batch...); err != nil {
				t.Fatal(err)
			}
			batch = nil
		}
	}
	info, err := os.Stat(filepath.Join(dir, "spent"))
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(3 * s.max * recordSize); info.Size() > most {
		t.Errorf("the file has %d bytes, more than %d", info.Size(), most)
	}
	killed(s)
	s = open(t, dir)
	for n := 20*tidy - int(time.Hour/time.Second); n < 20*tidy; n++ {
		if err := s.Claim(digest(n), now, now); err != ErrReplayed {
			t.Fatalf("packet %d: %v", n, err)
		}
	}
}

func TestFull(t *testing.T) {
	s := open(t, t.TempDir())
	s.max = 10
	for n := range s.max {
		spend(t, s, digest(n), noon)
	}
	if err := s.Claim(digest(s.max), noon, noon); err != ErrFull {
		t.Errorf("one more: %v", err)
	}
	later := noon.Add(keep + time.Second)
	if err := s.Claim(digest(s.max), later, later); err != nil {
		t.Errorf("when the others are forgotten: %v", err)
	}
}

func TestRelease(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Claim(digest(1), noon, noon); err != nil {
		t.Fatal(err)
	}
	s.Release(digest(1))
	if err := s.Claim(digest(1), noon, noon); err != nil {
		t.Errorf("a claim that was released: %v", err)
	}
}

// TestDiskComesBack: while the disk refuses, nothing is recorded; afterwards all is.
func TestDiskComesBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	spend(t, s, digest(1), noon)
	s.file.Close() // writes fail, as on a full disk
	moved := dir + ".away"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := s.Claim(digest(2), noon, noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(noon, digest(2)); err == nil {
		t.Fatal("recorded nowhere")
	}
	s.Release(digest(2))
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	spend(t, s, digest(2), noon)
	spend(t, s, digest(3), noon)
	killed(s)
	s = open(t, dir)
	for n := 1; n <= 3; n++ {
		if err := s.Claim(digest(n), noon, noon); !errors.Is(err, ErrReplayed) {
			t.Errorf("packet %d: %v", n, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "another nftknockd uses "+dir) {
		t.Errorf("opened twice: %v", err)
	}
	s.Close()
	if err := os.Remove(filepath.Join(dir, "spent")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "spent"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("what is no file was read")
	}
}
