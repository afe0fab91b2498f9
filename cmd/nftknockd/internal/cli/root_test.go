package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A mistyped command is answered with the one that was meant.
func TestSuggestions(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"statsu": "did you mean status?", "relaod": "did you mean reload?", "wach": "did you mean watch?", "otp shwo": "did you mean show?",
	} {
		var stderr bytes.Buffer
		if code := Run(strings.Fields(typed), io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %d %s", typed, code, &stderr)
		}
	}
}

const oneDoor = `
[door.ssh]
ports = [22]
sequence = [7214, 8391, 6127]
`

// DOOR is completed from the configuration, and from nothing if it cannot be read.
func TestCompletion(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "nftknockd.toml")
	if err := os.WriteFile(file, []byte(oneDoor), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"open", "-c", file, ""}, "ssh\n:4\n"},
		{[]string{"close", "-c", file, ""}, "ssh\n:4\n"},
		{[]string{"close", "-c", file, "ssh", ""}, ":4\n"},
		{[]string{"open", "-c", "/nonexistent", ""}, ":4\n"},
	} {
		var stdout bytes.Buffer
		if code := Run(append([]string{"__complete"}, test.args...), &stdout, io.Discard); code != exitDone || stdout.String() != test.want {
			t.Errorf("%q: %d %q, want %q", test.args, code, &stdout, test.want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	if code := Run([]string{"--version"}, &stdout, io.Discard); code != exitDone ||
		!regexp.MustCompile(`^nftknockd version \S+ \(commit .+, go1\.\S+\)\n$`).MatchString(stdout.String()) {
		t.Errorf("%d %q", code, &stdout)
	}
}
