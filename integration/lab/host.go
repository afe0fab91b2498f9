package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Host is a network namespace: a machine of its own, as far as the network
// goes. Only an open file keeps it there, so that nothing is left behind
// however the tests end.
type Host struct {
	Name  string
	NS    *os.File
	State string // the state directory of its daemons

	env []string // of programs that bring none of their own
}

// NewHost makes a host that is there until the test ends. Without root it skips the test.
func NewHost(t testing.TB, name string) *Host {
	t.Helper()
	if !privileged() {
		t.Skip("network namespaces need root")
	}
	// What users keep in their cache is of one machine: nftknock takes turns there.
	h := &Host{Name: name, State: newState(t), env: append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())}
	err := OnOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		h.NS, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatalf("making the namespace of %s: %v", name, err)
	}
	t.Cleanup(func() { h.NS.Close() })

	// Addresses can be used from the moment they are there.
	h.Sysctl(t, "net/ipv6/conf/default/accept_dad", "0")
	h.Sysctl(t, "net/ipv6/conf/all/accept_dad", "0")
	h.Run(t, "ip", "link", "set", "lo", "up")
	return h
}

// In runs f on a thread that has entered the host. Sockets that f opens and
// programs that it starts belong to the host.
func (h *Host) In(f func() error) error {
	return OnOwnThread(func() error {
		if err := unix.Setns(int(h.NS.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering %s: %w", h.Name, err)
		}
		return f()
	})
}

// OnOwnThread runs f on a thread that is never used again: it stays locked to
// its goroutine, and ends with it.
func OnOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// Command prepares a program that the host will run.
func Command(ctx context.Context, t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// An ordinary user's PATH lacks the system's programs.
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		t.Fatalf("%s is missing: make test installs what the tests need", name)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = 5 * time.Second // for children that keep its output open
	return cmd
}

// Run runs a program that has to succeed, and returns what it prints.
func (h *Host) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return h.RunWith(t, "", name, args...)
}

// RunWith is Run with something on standard input.
func (h *Host) RunWith(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	r := h.TryWith(t, stdin, name, args...)
	// nft 0.9.8 may crash as it lists a table that changes meanwhile.
	for again := 3; again > 0 && name == "nft" && slices.Contains(args, "list") && r.crashed(); again-- {
		r = h.TryWith(t, stdin, name, args...)
	}
	if r.Err != nil {
		t.Fatalf("%s: %s %s: %v\n%s%s", h.Name, name, strings.Join(args, " "), r.Err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// A Result is how a program ended.
type Result struct {
	Stdout, Stderr string
	Err            error
}

// Exit returns the exit status, -1 for a program that a signal ended.
func (r Result) Exit() int {
	if r.Err == nil {
		return 0
	}
	if e, ok := r.Err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return -1
}

// crashed reports whether the program has broken the memory's bounds.
func (r Result) crashed() bool {
	e, ok := r.Err.(*exec.ExitError)
	return ok && e.Sys().(syscall.WaitStatus).Signal() == syscall.SIGSEGV
}

// Try runs a program that may fail.
func (h *Host) Try(t testing.TB, name string, args ...string) Result {
	t.Helper()
	return h.TryWith(t, "", name, args...)
}

// TryWith is Try with something on standard input.
func (h *Host) TryWith(t testing.TB, stdin, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*Timeout)
	defer cancel()
	cmd := Command(ctx, t, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env = h.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	h.GiveState(cmd)
	err := h.In(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	return Result{stdout.String(), stderr.String(), err}
}

// newState makes a state directory, with a secret that makes the same decoys each time: some
// tests knock on ports that mean nothing.
func newState(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("the same decoys, each time: 32 b"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// GiveState has a program that is about to start use the state directory of the host.
func (h *Host) GiveState(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Environ(), "STATE_DIRECTORY="+h.State)
}

// Sysctl sets a kernel parameter of the host.
func (h *Host) Sysctl(t testing.TB, name, value string) {
	t.Helper()
	err := h.In(func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}
