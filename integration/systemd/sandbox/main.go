//go:build linux

// Command sandbox tries what the unit's sandbox is to refuse. It runs in the place of the
// daemon, and once as root without a sandbox: what is refused there as well shows nothing.
//
//	sandbox refused    exits 0 if everything is refused, and what the daemon needs is not
//	sandbox allowed    exits 0 if everything is allowed
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where the daemon may write.
const (
	stateDir   = "/var/lib/nftknock"
	runtimeDir = "/run/nftknockd"
)

type attempt struct {
	name string
	try  func() error
}

var forbidden = []attempt{
	{"open an IPv4 socket", socket(unix.AF_INET, unix.SOCK_STREAM)},
	{"open an IPv6 socket", socket(unix.AF_INET6, unix.SOCK_DGRAM)},
	{"open a packet socket", socket(unix.AF_PACKET, unix.SOCK_RAW)},
	{"run a program of the system", func() error { return fork(0, "/bin/true") }},
	{"run a program that it has written", runWritten},
	{"make a program in memory", makeInMemory},
	{"map memory to write and execute", mapWriteExecute},
	{"become root", inThread(func() error { return setuid(0) })},
	{"give a file away", giveAway},
	{"make a user namespace", func() error { return fork(unix.CLONE_NEWUSER, "") }},
	{"make a network namespace", inThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) })},
	{"mount", inThread(mount)},
	{"write to /etc", write("/etc")},
	{"write to /usr", write("/usr/lib")},
	{"write to /var", write("/var/lib")},
	{"write to /run", write("/run")},
	{"write to /dev/shm", write("/dev/shm")},
	{"read the passwords", read("/etc/shadow")},
	{"read root's files", list("/root")},
	{"see another process", read("/proc/1/cmdline")},
	{"see the kernel's settings", read("/proc/sys/kernel/ostype")},
	{"change the host's name", setHostname},
	{"take precedence of other processes", func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -5) }},
	{"share memory with other processes", shareMemory},
	{"change how programs are laid out in memory", changePersonality},
}

var needed = []attempt{
	{"open a netfilter socket", func() error {
		return closing(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER))
	}},
	{"open a local socket", socket(unix.AF_UNIX, unix.SOCK_DGRAM)},
	{"read the configuration", read("/etc/nftknock/nftknockd.toml")},
	{"write to its state directory", write(stateDir)},
	{"write to its runtime directory", write(runtimeDir)},
}

func main() {
	right := true
	switch {
	case len(os.Args) == 1: // see runWritten
	case len(os.Args) == 2 && os.Args[1] == "refused":
		right = all(forbidden, false)
		right = all(needed, true) && right
	case len(os.Args) == 2 && os.Args[1] == "allowed":
		right = all(forbidden, true)
	default:
		fmt.Fprintln(os.Stderr, "usage: sandbox refused|allowed")
		os.Exit(2)
	}
	if !right {
		os.Exit(1)
	}
}

// all tries everything, says what came of it, and whether all of it was allowed,
// or none.
func all(attempts []attempt, allowed bool) bool {
	right := true
	for _, a := range attempts {
		verdict := "right"
		err := a.try()
		if (err == nil) != allowed {
			right, verdict = false, "WRONG"
		}
		fmt.Printf("%s: %s: %v\n", verdict, a.name, err)
	}
	return right
}

func socket(family, kind int) func() error {
	return func() error { return closing(unix.Socket(family, kind, 0)) }
}

func closing(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// inThread returns f in a thread of its own, which ends with it: what f changes
// of itself is nobody else's.
func inThread(f func() error) func() error {
	return func() error {
		result := make(chan error)
		go func() {
			runtime.LockOSThread()
			result <- f()
		}()
		return <-result
	}
}

// setuid is the system call, for the calling thread alone.
func setuid(uid uintptr) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETUID, uid, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// fork makes a process, in namespaces of its own as flags say, and has it run a
// program, if one is given. It is not os/exec, which would need a pipe: that the
// sandbox refuses too, and then nothing is shown about the rest.
func fork(flags uintptr, program string) error {
	path, err := unix.BytePtrFromString(program)
	if err != nil {
		return err
	}
	arguments, environment := [2]*byte{path}, [1]*byte{}
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	switch {
	case errno != 0:
		return errno
	case pid == 0 && program != "": // the child has this thread only: raw calls, and nothing else
		_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
			uintptr(unsafe.Pointer(&arguments)), uintptr(unsafe.Pointer(&environment)))
		fallthrough
	case pid == 0:
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		return err
	}
	if status != 0 {
		return unix.Errno(status.ExitStatus())
	}
	return nil
}

// runWritten looks for a mount to which it can write a program, and run it there.
func runWritten() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err) // then this would show nothing
	}
	var refused []error
	for line := range strings.Lines(string(mounts)) {
		dir := strings.Fields(line)[4]
		err := runCopy(filepath.Join(dir, "program"))
		if err == nil {
			fmt.Printf("a program ran in %s\n", dir)
			return nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", dir, err))
	}
	return errors.Join(refused...)
}

// runCopy runs a copy of this program, which does nothing without arguments.
func runCopy(file string) error {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, program, 0o700); err != nil {
		return err
	}
	defer os.Remove(file)
	return fork(0, file)
}

func makeInMemory() error { return closing(unix.MemfdCreate("program", 0)) }

func mapWriteExecute() error {
	m, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Munmap(m)
}

func giveAway() error {
	f, err := os.CreateTemp(stateDir, "")
	if err != nil {
		panic(err) // then this would show nothing
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return f.Chown(os.Getuid(), os.Getgid())
}

func mount() error {
	// In a mount namespace of this thread's own.
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Mount("none", "/mnt", "tmpfs", 0, "")
}

func write(dir string) func() error {
	return func() error {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
}

func read(file string) func() error {
	return func() error {
		_, err := os.ReadFile(file)
		return err
	}
}

func list(dir string) func() error {
	return func() error {
		_, err := os.ReadDir(dir)
		return err
	}
}

func setHostname() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return unix.Sethostname([]byte(name))
}

func shareMemory() error {
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		return err
	}
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}

func changePersonality() error {
	const addrNoRandomize = 0x40000
	if _, _, errno := unix.RawSyscall(unix.SYS_PERSONALITY, addrNoRandomize, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
