package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host is a network namespace: a machine of its own, as far as the network
// goes. Only an open file keeps it there, so that nothing is left behind
// however the tests end.
type host struct {
	name string
	ns   *os.File
}

func newHost(t testing.TB, name string) *host {
	t.Helper()
	if !privileged() {
		t.Skip("network namespaces need root")
	}
	h := &host{name: name}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		h.ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatalf("making the namespace of %s: %v", name, err)
	}
	t.Cleanup(func() { h.ns.Close() })

	// Addresses can be used from the moment they are there.
	h.sysctl(t, "net/ipv6/conf/default/accept_dad", "0")
	h.sysctl(t, "net/ipv6/conf/all/accept_dad", "0")
	h.run(t, "ip", "link", "set", "lo", "up")
	return h
}

// in runs f on a thread that has entered the host. Sockets that f opens and
// programs that it starts belong to the host.
func (h *host) in(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering %s: %w", h.name, err)
		}
		return f()
	})
}

// onOwnThread runs f on a thread that is never used again: it stays locked to
// its goroutine, and ends with it.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// command prepares a program that the host will run.
func command(ctx context.Context, t testing.TB, name string, args ...string) *exec.Cmd {
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

// run runs a program that has to succeed, and returns what it prints.
func (h *host) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return h.runWith(t, "", name, args...)
}

// runWith is run with something on standard input.
func (h *host) runWith(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	r := h.tryWith(t, stdin, name, args...)
	if r.err != nil {
		t.Fatalf("%s: %s %s: %v\n%s%s", h.name, name, strings.Join(args, " "), r.err, r.stdout, r.stderr)
	}
	return r.stdout
}

// A result is how a program ended.
type result struct {
	stdout, stderr string
	err            error
}

// exit returns the exit status, -1 for a program that a signal ended.
func (r result) exit() int {
	if r.err == nil {
		return 0
	}
	if e, ok := r.err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return -1
}

// try runs a program that may fail.
func (h *host) try(t testing.TB, name string, args ...string) result {
	t.Helper()
	return h.tryWith(t, "", name, args...)
}

func (h *host) tryWith(t testing.TB, stdin, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*aWhile)
	defer cancel()
	cmd := command(ctx, t, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := h.in(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	return result{stdout.String(), stderr.String(), err}
}

// sysctl sets a kernel parameter of the host.
func (h *host) sysctl(t testing.TB, name, value string) {
	t.Helper()
	err := h.in(func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}
