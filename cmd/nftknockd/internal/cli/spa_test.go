package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nftknock/config"
	"nftknock/config/profile"
	"nftknock/knock/spa"
)

// From a door without keys to one with two, doing what is printed.
func TestSPANew(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.toml")
	writeConfig(t, file, "")

	fails(t, "nftknockd: no door is named \"web\": there is ssh\n", "spa", "new", "web", "alice", "-c", file)
	fails(t, "nftknockd: \"../alice\" cannot be a person's name: want letters, digits, dots, _, @ or -, beginning with a letter or digit\n",
		"spa", "new", "ssh", "../alice", "-c", file)
	printed := succeeds(t, "spa", "new", "ssh", "alice", "-c", file, "--host", "server.example.org")
	keyFile := filepath.Join(dir, "alice.spa")
	fails(t, "nftknockd: "+keyFile+" is there already, and clients may rely on it\nhint: for another key, remove the file first; "+
		"to use this one, write into [door.ssh] of "+file+":\n\nspa_keys = [\"alice.spa\"]\n",
		"spa", "new", "ssh", "alice", "-c", file)
	fails(t, "nftknockd: door ssh takes nobody's packets: it has no spa_keys\nhint: nftknockd spa new ssh bob makes a key\n",
		"client", "ssh", "--person", "bob", "-c", file)
	if info, err := os.Stat(keyFile); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if !strings.Contains(printed, "\n\nspa_keys = [\"alice.spa\"]\n\n") || !strings.Contains(printed, "▀") {
		t.Errorf("printed\n%s", printed)
	}

	writeConfig(t, file, "spa_keys = [\"alice.spa\"]\n")
	second := succeeds(t, "spa", "new", "ssh", "bob", "-c", file, "--no-qr")
	if !strings.Contains(second, "\n\nspa_keys = [\"alice.spa\", \"bob.spa\"]\n\n") || strings.Contains(second, "▀") {
		t.Errorf("printed\n%s", second)
	}
	writeConfig(t, file, "spa_keys = [\"alice.spa\", \"bob.spa\"]\n")
	fails(t, "nftknockd: "+keyFile+" is there already, and clients may rely on it\n"+
		"hint: nftknockd client ssh --person alice prints it for a client once more; for another key, remove the file first\n",
		"spa", "new", "ssh", "alice", "-c", file)
	fails(t, "nftknockd: door ssh takes no packets of \"carol\": --person is one of alice, bob\n", "client", "ssh", "--person", "carol", "-c", file)
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	key := cfg.SPA.Doors["ssh"].Keys[0].Key

	// The line is one that the client takes.
	p, text, err := profile.ParseLine(printed)
	if err != nil {
		t.Fatal(err)
	}
	again, err := spa.ParseKey("alice", string(text))
	if err != nil || !again.Equal(key) || p.Host != "server.example.org" || p.Wait != 22 || p.SPAPort != 62201 {
		t.Errorf("%+v, %v", p, err)
	}

	// The stanza is one that fwknop takes.
	cipher, hmac := key.Base64()
	stanza := regexp.MustCompile(`(?s)\n\[server\.example\.org\]\n.*?\n\n`).FindString(printed)
	for _, want := range []string{"SPA_SERVER_PORT     62201", "ACCESS              tcp/22", cipher, hmac} {
		if !strings.Contains(stanza, want) {
			t.Errorf("%q is not in %q", want, stanza)
		}
	}
	if _, err := exec.LookPath("fwknop"); err != nil {
		t.Skip("fwknop is not installed")
	}
	rc, packet := filepath.Join(dir, "fwknoprc"), filepath.Join(dir, "packet")
	if err := os.WriteFile(rc, []byte(stanza), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("fwknop", "--rc-file", rc, "-n", "server.example.org", "-a", "192.0.2.7", "-D", "192.0.2.1",
		"--test", "--no-save-args", "--save-packet", packet)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	payload, err := os.ReadFile(packet)
	if err != nil {
		t.Fatal(err)
	}
	got, err := spa.NewKeys(key).Open([]byte(strings.TrimSpace(string(payload))), time.Now(), time.Minute)
	if err != nil || got.Source.String() != "192.0.2.7" || len(got.Ports) != 1 || got.Ports[0].String() != "22" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSPANewTrigger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.toml")
	if err := os.WriteFile(file, []byte("[door.wake]\nsequence = [7214, 8391, 6127]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "nftknockd: door wake guards no port, and a packet asks for ports: it cannot open this door\n", "spa", "new", "wake", "alice", "-c", file)
}
