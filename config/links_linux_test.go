package config

import (
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadLinksLive asks the kernel about interfaces that it made itself.
func TestReadLinksLive(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and its namespace with it
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skipf("a network namespace: %v", err)
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("ip %v: %v\n%s", args, err, out)
		}
	}
	ip("link", "add", "br7", "type", "bridge")
	ip("link", "add", "eth7", "type", "dummy")
	ip("link", "add", "eth8", "type", "dummy")
	ip("link", "set", "eth7", "master", "br7")
	ip("link", "property", "add", "dev", "eth8", "altname", "enp8s0withalongname")
	got, err := ReadLinks()
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(l Link) bool { return !slices.Contains([]string{"lo", "br7", "eth7", "eth8"}, l.Name) })
	want := []Link{
		{Name: "lo", Loopback: true},
		{Name: "br7"},
		{Name: "eth7", Master: "br7", Kind: "bridge"},
		{Name: "eth8", AltNames: []string{"enp8s0withalongname"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
