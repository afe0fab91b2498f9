package demo

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nftknock/knock"
)

// nobody is a user without any right.
const nobody = 65534

// A demoProgram is the path of the program, for running its demo.
type demoProgram string

func buildForDemo(t *testing.T) demoProgram {
	t.Helper()
	path := filepath.Join(publicDir(t), "nftknockd")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "nftknock/cmd/nftknockd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return demoProgram(path)
}

// publicDir returns a directory for the test. Unlike that of t.TempDir, other
// users can look into it.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nftknockd-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs the demo, as a user, of a configuration, or the built-in one if that
// is empty.
func (p demoProgram) run(t *testing.T, uid int, configuration string) (status int, out, errOut string) {
	t.Helper()
	cmd := exec.Command(string(p), "demo")
	cmd.Dir = publicDir(t)
	if configuration != "" {
		file := filepath.Join(cmd.Dir, "nftknockd.toml")
		if err := os.WriteFile(file, []byte(configuration), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd.Args = append(cmd.Args, "--config", file)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	if strings.Contains(stderr.String(), "may not build networks in namespaces") {
		t.Skipf("user %d: %s", uid, &stderr)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// users returns who the demo can be tried as: root, and a user without rights.
func users() []int {
	if os.Getuid() != 0 {
		return []int{os.Getuid()}
	}
	return []int{0, nobody}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		configuration string
		want          []string // regular expressions for lines, in this order; others may be between them
	}{
		"built-in": {
			want: []string{
				`^  door ssh, IPv4$`,
				`^  ✓ 192\.0\.2\.2 → port 22 +shut: no answer in 300 ms$`,
				`^  ✓ 192\.0\.2\.2 knocks 7011, 9035:udp, 8127 +to open, in `,
				`^  ✓ 192\.0\.2\.2 → port 22 +open: "welcome, 192\.0\.2\.2", [0-9.]+ ms after the last knock$`,
				`^  ✓ 192\.0\.2\.3 → port 22 +still shut: no answer in 300 ms$`,
				`^  ✓ 192\.0\.2\.2 knocks 8127, 9035:udp, 7011 +to close, in `,
				`^  ✓ 192\.0\.2\.2 → port 22 +shut again: no answer in 300 ms$`,
				`^  door ssh, IPv6$`,
				`^  ✓ 2001:db8::2 → port 22 +shut: no answer in 300 ms$`,
				`^  ✓ 2001:db8::2 knocks 7011, 9035:udp, 8127 +to open, in `,
				`^  ✓ 2001:db8::2 → port 22 +open: "welcome, 2001:db8::2", [0-9.]+ ms after the last knock$`,
				`^  ✓ 2001:db8::3 → port 22 +still shut: no answer in 300 ms$`,
				`^  ✓ 2001:db8::2 knocks 8127, 9035:udp, 7011 +to close, in `,
				`^  ✓ 2001:db8::2 → port 22 +shut again: no answer in 300 ms$`,
				`^table inet nftknock \{`,
				`^All 12 steps did what they should, in `,
			},
		},
		"doors that share ports": {
			configuration: `
interfaces   = ["lo", "wan0"]
always_allow = ["192.0.2.0/24", "2001:db8::/48"]
table        = "gate"
on_stop      = "remove"

[door.anna]
ports          = [22, "51820:udp"]
sequence       = [7011, "9035:udp", 8127]
close_sequence = [8127, "9035:udp", 7011]
shut           = "reject"

[door.bert]
ports        = [22]
sequence     = ["7211:udp", 9235, 8327, 8327]
open_timeout = "1s"
shut         = "reject"

[door.carl]
ports        = [22]
sequence     = [7411, 9435, 8527]
open_timeout = "forever"
shut         = "reject"
ipv4_prefix  = 24
ipv6_prefix  = 1
`,
			want: []string{
				`^  door anna, IPv4$`,
				`^  ✓ 198\.51\.100\.2 → ports 22, 51820:udp +shut: refused, as by a closed port$`,
				`^  ✓ 198\.51\.100\.2 knocks 7011, 9035:udp, 8127 +to open, in `,
				`^  ✓ 198\.51\.100\.2 → ports 22, 51820:udp +open: "welcome, 198\.51\.100\.2", `,
				`^  ✓ 198\.51\.100\.3 → ports 22, 51820:udp +still shut: refused, as by a closed port$`,
				`^  ✓ 198\.51\.100\.2 knocks 8127, 9035:udp, 7011 +to close, in `,
				`^  ✓ 198\.51\.100\.2 → ports 22, 51820:udp +shut again: refused, as by a closed port$`,
				`^  door bert, IPv4$`,
				`^  ✓ 198\.51\.100\.3 → port 22 +shut again: .*, (1\.[0-9] s|9[89][0-9] ms|1000 ms) after the last knock$`,
				`^  door carl, IPv4$`,
				`^  ✓ 198\.51\.100\.5 → port 22 +open to all of 198\.51\.100\.0/24: "welcome, 198\.51\.100\.5"$`,
				`^  ✓ 203\.0\.113\.2 → port 22 +still shut: refused, as by a closed port$`,
				`^  – 198\.51\.100\.4 → port 22 +skipped: no close_sequence: shuts only by an administrator$`,
				`^  door anna, IPv6$`,
				`^  ✓ 2001:db8:1::2 → ports 22, 51820:udp +shut again: refused, as by a closed port$`,
				`^  door carl, IPv6$`,
				`^  ✓ 2001:db8:3::3 → port 22 +open to all of ::/1: "welcome, 2001:db8:3::3"$`,
				`^  ✓ fd00::2 → port 22 +still shut: refused, as by a closed port$`,
				`^table inet gate \{`,
				`^All 32 steps did what they should, in `,
			},
		},
		"triggers": {
			configuration: `
[door.wake]
sequence     = [7011, 8127]
open_timeout = "1s"
[door.game]
sequence       = [25565]
close_sequence = [7301, "7109:udp"]
[door.long]
sequence = [7411]
`,
			want: []string{
				`^  door wake, IPv4$`,
				`^  ✓ 192\.0\.2\.2 knocks 7011, 8127 +event "granted", [0-9.]+ ms after the last knock$`,
				`^  ✓ nothing more +event "expired", 1\.[0-9] s after the last knock$`,
				`^  door game, IPv4$`,
				`^  ✓ 192\.0\.2\.3 knocks 25565 +event "granted", `,
				`^  ✓ 192\.0\.2\.3 knocks 7301, 7109:udp +event "revoked", `,
				`^  – nothing more +skipped: the event "expired" comes after 1m0s$`,
				`^  door wake, IPv6$`,
				`^All 10 steps did what they should, in `,
			},
		},
	}
	program := buildForDemo(t)
	for name, test := range tests {
		for _, uid := range users() {
			t.Run(fmt.Sprintf("%s, user %d", name, uid), func(t *testing.T) {
				t.Parallel()
				status, out, errOut := program.run(t, uid, test.configuration)
				if status != 0 || errOut != "" {
					t.Errorf("exit status %d, stderr:\n%s", status, errOut)
				}
				left := strings.Split(out, "\n")
				for _, want := range test.want {
					i := slices.IndexFunc(left, regexp.MustCompile(want).MatchString)
					if i < 0 {
						t.Fatalf("no line, or not in this place, like %s in:\n%s", want, out)
					}
					left = left[i+1:]
				}
			})
		}
	}
}

// The end of one sequence and the beginning of the next may open another door to the same
// port: something that only a rehearsal brings to light.
func TestDemoFails(t *testing.T) {
	t.Parallel()
	status, out, errOut := buildForDemo(t).run(t, os.Getuid(), `
[door.ssh]
ports          = [22]
sequence       = [7011, 9035, 8127]
close_sequence = [7301, 7109, 7207]
[door.other]
ports          = [22]
sequence       = [8127, 7301]
`)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	if want := `  ✗ 192.0.2.2 → port 22                  "welcome, 192.0.2.2", but should have shut within 2.0 s`; !strings.HasSuffix(out, want+"\n") {
		t.Errorf("want as the last line:\n%s\ngot:\n%s", want, out)
	}
	for _, want := range []string{`msg=granted door=ssh`, `door ssh, IPv4: 192.0.2.2 → port 22: "welcome, 192.0.2.2", but`} {
		if !strings.Contains(errOut, want) {
			t.Errorf("want %q in stderr:\n%s", want, errOut)
		}
	}
}

func TestDemoRefusesConfiguration(t *testing.T) {
	t.Parallel()
	program := buildForDemo(t)
	for name, test := range map[string]struct{ configuration, want string }{
		"not valid":     {"[door.ssh]\nports = [22]\n", "sequence: is missing"},
		"no door":       {"# nothing\n", "no door"},
		"loopback only": {"interfaces = [\"lo\"]\n[door.ssh]\nports = [22]\nsequence = [7011, 9035, 8127]\n", `only "lo" is named`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, _, errOut := program.run(t, os.Getuid(), test.configuration)
			if status != 1 || !strings.Contains(errOut, test.want) {
				t.Errorf("exit status %d, want %q in stderr:\n%s", status, test.want, errOut)
			}
		})
	}
}

// Who reads the first lines only is not told that nobody reads the others.
func TestDemoIsQuiet(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(string(buildForDemo(t)), "demo")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	out.Close()
	cmd.Wait()
	if strings.Contains(errOut.String(), "may not build networks in namespaces") {
		t.Skip(&errOut)
	}
	if errOut.Len() > 0 {
		t.Errorf("stderr: %s", &errOut)
	}
}

// Whatever a door lets in, there is a client that it does not let in.
func TestDemoHasStrangers(t *testing.T) {
	t.Parallel()
	for _, family := range families {
		hasStranger := func(letIn netip.Prefix) bool {
			for addr := range family.clients() {
				if !letIn.Contains(addr) {
					return true
				}
			}
			return false
		}
		for source := range family.clients() {
			for bits := 1; bits <= source.BitLen(); bits++ {
				letIn := family.letIn(&knock.Door{IPv4Prefix: bits, IPv6Prefix: bits}, source)
				if !hasStranger(letIn) {
					t.Errorf("%s: everybody is in %s", family.name, letIn)
				}
			}
		}
	}
}
