package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A sandbox is where the demo runs: a second process of this program, in namespaces of
// its own.
type sandbox struct {
	in          io.Reader // inside: the configuration, as JSON
	out, errOut io.Writer
	verbose     bool
}

// outsideVariable tells the process in the sandbox which network namespace it must not
// be in.
const outsideVariable = "NFTKNOCKD_DEMO_OUTSIDE"

// ErrReported is for a process that has nothing to add to what the one in the sandbox
// has said.
var ErrReported = errors.New("the demo failed")

// inside reports whether this process is the one in the sandbox. Being told so is not
// enough: outside it would guard the machine itself.
func inside() (bool, error) {
	here, err := networkNamespace()
	if err != nil {
		return false, err
	}
	outside := os.Getenv(outsideVariable)
	return outside != "" && outside != here, nil
}

// networkNamespace returns the identity of the network namespace of this process.
func networkNamespace() (string, error) {
	return os.Readlink("/proc/self/ns/net")
}

// enter runs this program in the sandbox, with the configuration as its standard input.
func (s *sandbox) enter(ctx context.Context, configuration []byte) error {
	here, err := networkNamespace()
	if err != nil {
		return err
	}
	// The child is killed when the thread that started it ends, so that it never
	// outlives this process. That thread must not end sooner.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	child := exec.CommandContext(ctx, "/proc/self/exe", "demo", fmt.Sprintf("--verbose=%t", s.verbose))
	child.Args[0] = "nftknockd"
	child.Env = append(os.Environ(), outsideVariable+"="+here)
	child.Stdin, child.Stdout, child.Stderr = bytes.NewReader(configuration), s.out, s.errOut
	child.SysProcAttr = namespaces()
	child.Cancel = func() error { return child.Process.Signal(unix.SIGTERM) }
	child.WaitDelay = 5 * time.Second
	if err := child.Start(); err != nil {
		return explainRefusal(err)
	}
	err = child.Wait()
	exit := (*exec.ExitError)(nil)
	if errors.As(err, &exit) && (exit.Exited() || exit.Sys().(syscall.WaitStatus).Signal() == unix.SIGPIPE) { // nobody reads on
		return ErrReported
	}
	if err != nil {
		return fmt.Errorf("in the sandbox: %w", err)
	}
	return nil
}

// namespaces returns the attributes of the process in the sandbox: a network namespace and,
// where it would have no power over that otherwise, a user namespace in which it is root.
func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if !mayBuildNetworks() {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// mayBuildNetworks reports whether this process can make a network namespace and
// do there what the demo does. Root in a container often cannot.
func mayBuildNetworks() bool {
	const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	err := unix.Capget(&header, &data[0])
	return err == nil && data[0].Effective&needed == needed
}

// explainRefusal says what to do about an error with which the kernel refused the sandbox,
// or the work in it.
func explainRefusal(err error) error {
	return fmt.Errorf("this user may not build networks in namespaces: %w\nhint: run it as root, or %s", err, howToAllow())
}

// howToAllow names the setting that keeps ordinary users out of namespaces on
// this machine, as far as it can be told.
func howToAllow() string {
	for _, setting := range []struct{ file, refuses, allow string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=10000"},
	} {
		value, err := os.ReadFile(setting.file)
		if err == nil && strings.TrimSpace(string(value)) == setting.refuses {
			return "allow ordinary users their namespaces: sysctl -w " + setting.allow
		}
	}
	return "where ordinary users may have user namespaces; containers often forbid them"
}
