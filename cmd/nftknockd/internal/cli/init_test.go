package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"nftknock/config"
	"nftknock/config/profile"
)

func TestInit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "etc", "nftknockd.toml")
	var stdout, stderr bytes.Buffer
	if code := Run([]string{"init", "-c", file, "--host", "server.example.org"}, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if m := info.Mode().Perm(); m&0o007 != 0 {
		t.Errorf("mode %04o", m)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if w := cfg.WarningsHere(); len(w) > 0 {
		t.Error(w)
	}

	line, byHand, _ := strings.Cut(stdout.String(), "\n# Or by hand")
	client, ssh, _ := strings.Cut("#"+byHand, "\n# In ~/.ssh/config")
	var hosts struct {
		Host map[string]struct {
			Host     string
			Sequence []int
			Wait     int
		}
	}
	if _, err := toml.Decode(client, &hosts); err != nil {
		t.Fatalf("%v\n%s", err, client)
	}
	byHost := hosts.Host["server.example.org"]
	var sequence []int
	for _, p := range cfg.Doors[0].Sequence {
		sequence = append(sequence, int(p.Number))
	}
	if !slices.Equal(byHost.Sequence, sequence) || byHost.Host != "server.example.org" || byHost.Wait != 22 {
		t.Errorf("the client's side of %v is\n%s", sequence, client)
	}
	if p, _, err := profile.ParseLine(line); err != nil || p.TOML() != client[strings.Index(client, "[host."):] {
		t.Errorf("the line is not the profile that is written out: %v", err)
	}
	if !strings.Contains(ssh, "\nHost server.example.org\n") {
		t.Errorf("for ssh:\n%s", ssh)
	}

	again := succeeds(t, "client", "ssh", "-c", file, "--host", "server.example.org")
	if again != stdout.String() {
		t.Errorf("client prints\n%s", again)
	}

	// A door that is there is never touched.
	before, _ := os.ReadFile(file)
	stdout.Reset()
	stderr.Reset()
	if code := Run([]string{"init", "-c", file}, &stdout, &stderr); code != exitFailed || stdout.Len() > 0 {
		t.Errorf("exit %d, and it printed %q", code, &stdout)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("overwritten")
	}
	if want := "has a door ssh already"; !strings.Contains(stderr.String(), want) {
		t.Errorf("%q is not in %q", want, &stderr)
	}

	// Another one is added, and what is there stays.
	if code := Run([]string{"init", "-c", file, "--door", "web", "--port", "443"}, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	if after, _ := os.ReadFile(file); !bytes.HasPrefix(after, before) {
		t.Errorf("%s\nhas become\n%s", before, after)
	}
	if cfg, err = config.Load(file); err != nil || len(cfg.Doors) != 2 {
		t.Errorf("%d doors, %v", len(cfg.Doors), err)
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--door", "Ssh"}, "lower-case letter"},
		{[]string{"--port", "70000"}, "write a number from 1 to 65535"},
		{[]string{"--port", "22", "--port", "22"}, "there twice"},
		{[]string{"--host", `x" exec "reboot`}, "write server.example.org"},
		{[]string{"--host", "fe80::1%eth0"}, "needs an interface of the client's"},
		{[]string{"--host", "fe80::1"}, "needs an interface of the client's"},
		{[]string{"--host", "127.0.0.1"}, "no address by which another host reaches this one"},
		{[]string{"--host", "::"}, "no address by which another host reaches this one"},
	} {
		file := filepath.Join(t.TempDir(), "nftknockd.toml")
		var stdout, stderr bytes.Buffer
		if code := Run(append([]string{"init", "-o", file}, tt.args...), &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: exit %d: %q: want %q", tt.args, code, &stderr, tt.want)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%q: wrote a file", tt.args)
		}
	}
}
