package lab

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Nftknockd is the file of the program under test, and Nftknock that of its client.
var Nftknockd, Nftknock = os.Getenv("NFTKNOCKD"), os.Getenv("NFTKNOCK")

// Main is what TestMain of a package does whose tests use the lab: it builds the programs,
// runs the tests and ends the process. Packages take turns, since go test would run them
// beside each other, and each of them keeps the machine busy.
func Main(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// These tests wait for clocks and for other programs, not for a
	// processor: more of them at once than there are processors.
	if !given("test.parallel") {
		flag.Set("test.parallel", "8")
	}
	if !privileged() {
		return m.Run()
	}

	dir, err := os.MkdirTemp("", "nftknockd")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare waits for this package's turn, and puts into a directory what the tests need.
// The turn ends with the process.
func prepare(dir string) error {
	// One test runs the program as an ordinary user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	// A program with the race detector would stay a second longer, each time.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))

	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := takeTurn(filepath.Join(filepath.Dir(cache), "turn")); err != nil {
		return err
	}
	for name, file := range map[string]*string{"nftknockd": &Nftknockd, "nftknock": &Nftknock} {
		if *file != "" {
			continue
		}
		if err := build(filepath.Join(cache, name), name); err != nil {
			return fmt.Errorf("building %s: %w", name, err)
		}
		*file = filepath.Join(dir, name)
		if err := copyProgram(*file, filepath.Join(cache, name)); err != nil {
			return err
		}
	}
	return nil
}

// cacheDir returns where the programs stay between runs. Linking takes seconds with the race
// detector, and go build does not link again what has not changed. Only the owner may write
// there, so that nobody else chooses what root runs.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	kind := "plain"
	if Race {
		kind = "race"
	}
	dir = filepath.Join(dir, "nftknock-lab", kind)
	return dir, os.MkdirAll(dir, 0o700)
}

// takeTurn waits until no other process has the file locked, and locks it.
func takeTurn(file string) error {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("opening %s: %w", file, err)
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "lab: waiting until another package's tests have ended")
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

// build compiles a program, with the race detector if the tests have it.
func build(to, program string, more ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", to}, more...)
	if Race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "nftknock/cmd/"+program)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// given reports whether the flag stands on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func privileged() bool { return os.Geteuid() == 0 }
