package lab

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// KernelAtLeast says whether this machine's Linux is of that version, or a newer one.
func KernelAtLeast(t testing.TB, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var gotMajor, gotMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &gotMajor, &gotMinor); err != nil {
		t.Fatalf("release %q: %v", release, err)
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

// Versions of Linux since which a table can have an owner, and outlive it.
var owners, persistence = [2]int{5, 12}, [2]int{6, 9}

// CanOwn and CanPersist say whether this kernel's tables can have an owner, and outlive it.
func CanOwn(t testing.TB) bool { t.Helper(); return KernelAtLeast(t, owners[0], owners[1]) }
func CanPersist(t testing.TB) bool {
	t.Helper()
	return KernelAtLeast(t, persistence[0], persistence[1])
}

// NftknockdWithoutPersistence returns a nftknockd for which tables do not outlive their owners, as
// before Linux 6.9.
func NftknockdWithoutPersistence(t testing.TB) string {
	t.Helper()
	if !CanPersist(t) {
		return Nftknockd
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("this kernel has tables that persist, and go is not there to build a nftknockd that does not ask for them")
	}
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	// Under its own name: those who watch the table tell the daemon by it.
	program := filepath.Join(cache, "without-persistence", "nftknockd")
	if err := build(program, "nftknockd", "-ldflags=-X nftknock/nft.lacks=persist"); err != nil {
		t.Fatalf("building nftknockd: %v", err)
	}
	return program
}
