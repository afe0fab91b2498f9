package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the nftknockd under test, and nftknock its client.
var Nftknockd, Nftknock = os.Getenv("NFTKNOCKD"), os.Getenv("NFTKNOCK")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
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
	// One test runs the program as an ordinary user.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := keepState(filepath.Join(dir, "state")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A program with the race detector would stay a second longer, each time.
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	for name, file := range map[string]*string{"nftknockd": &Nftknockd, "nftknock": &Nftknock} {
		if *file != "" {
			continue
		}
		*file = filepath.Join(dir, name)
		if err := build(*file); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n", name, err)
			return 1
		}
	}
	return m.Run()
}

// keepState gives all daemons here a state directory, with a secret that makes the same
// decoys each time: some tests knock on ports that mean nothing.
func keepState(dir string) error {
	os.Setenv("STATE_DIRECTORY", dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "secret"), []byte("the same decoys, each time: 32 b"), 0o600)
}

// build compiles a program, with the race detector if the tests have it.
func build(to string) error {
	args := []string{"build", "-buildvcs=false", "-o", to}
	if Race {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "nftknock/cmd/"+filepath.Base(to))...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// given reports whether the flag stands on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func privileged() bool { return os.Geteuid() == 0 }
