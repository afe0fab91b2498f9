package functional

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// TestCannotStart has every reason not to start that a test can make. Each
// time the daemon says so, in a line that tells what to do, and leaves the
// kernel as it was.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	asNobody := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	tests := []struct {
		name    string
		prepare func(t *testing.T, h *lab.Host, config string) // nil: nothing
		as      []string
		config  string // empty: the file that was written
		says    []string
	}{
		{
			name: "not root",
			as:   asNobody,
			prepare: func(t *testing.T, _ *lab.Host, config string) {
				makeReachable(t, config)
				if err := os.Chown(config, 65534, 65534); err != nil {
					t.Fatal(err)
				}
			},
			says: []string{"CAP_NET_ADMIN", "root"},
		},
		{
			name: "log group taken",
			prepare: func(t *testing.T, h *lab.Host, _ string) {
				lab.StartDaemon(t, otherState(t, h), "table = \"other\"\n"+lab.SSHDoor)
			},
			says: []string{"another program uses NFLOG group 7022", "nflog_group"},
		},
		{
			name: "table of somebody else",
			prepare: func(t *testing.T, h *lab.Host, _ string) {
				h.RunWith(t, "table inet nftknock { chain mine { tcp dport 80 accept; }; }", "nft", "-f", "-")
			},
			says: []string{"table inet nftknock", "`table`"},
		},
		{
			name:   "no file",
			config: "/nonexistent/nftknockd.toml",
			says:   []string{"/nonexistent/nftknockd.toml", "no such file"},
		},
		{
			name:    "unreadable file",
			as:      asNobody,
			prepare: func(t *testing.T, _ *lab.Host, config string) { makeReachable(t, config) },
			says:    []string{"nftknockd.toml", "permission denied"},
		},
		{
			name:   "a directory",
			config: "/",
			says:   []string{"is a directory"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := lab.NewHost(t, "server")
			config := lab.WriteConfig(t, lab.SSHDoor)
			if test.prepare != nil {
				test.prepare(t, h, config)
			}
			if test.config != "" {
				config = test.config
			}
			before := h.Ruleset(t)

			args := append(test.as, lab.Nftknockd, "run", "--socket", "", "-c", config)
			r := h.Try(t, args[0], args[1:]...)
			if r.Exit() != 1 || r.Stdout != "" {
				t.Errorf("exit status %d (%v), stdout %q; want 1 and nothing", r.Exit(), r.Err, r.Stdout)
			}
			// One line, and perhaps a hint; what the log says of the state directory comes before.
			lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
			lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "time=") })
			if len(lines) > 2 || len(lines) == 2 && !strings.Contains(lines[1], "hint:") {
				t.Errorf("that is more than a line and a hint:\n%s", r.Stderr)
			}
			for _, words := range test.says {
				if !strings.Contains(r.Stderr, words) {
					t.Errorf("nothing about %q:\n%s", words, r.Stderr)
				}
			}
			if after := h.Ruleset(t); after != before {
				t.Errorf("it has left something behind:\n%s", after)
			}
		})
	}
}

// makeReachable lets everybody get to a file of the test, if not into it.
func makeReachable(t *testing.T, path string) {
	t.Helper()
	dir := filepath.Dir(path)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
