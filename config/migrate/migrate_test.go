package migrate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"nftknock/config"
	"nftknock/config/knockd"
	"nftknock/config/profile"
)

var update = flag.Bool("update", false, "write the outputs in testdata anew")

// TestFiles compares what becomes of a file with NAME.toml, and what is lost with
// NAME.lost. The tutorial's file is in a hundred texts; the one called debian is what
// Debian's package knockd installs, and the one called manual has the examples of
// knockd(1).
func TestFiles(t *testing.T) {
	complete := map[string]bool{"tutorial": true, "debian": true, "triggers": true, "docker": true, "comments": true, "many": true}
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no files:", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conf")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := FromKnockd("knockd.conf", knockd.Parse(data), "")
			if r.Complete() != complete[name] {
				t.Errorf("complete: %v", r.Complete())
			}
			var lost strings.Builder
			for _, l := range r.Losses {
				fmt.Fprintln(&lost, l)
			}
			base := strings.TrimSuffix(file, ".conf")
			golden(t, base+".toml", r.TOML)
			golden(t, base+".lost", lost.String())
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", file, diff)
	}
}

// FuzzFromKnockd looks for files that make it panic, make a configuration that
// does not load, show a sequence in a loss, or disappear from the output.
func FuzzFromKnockd(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.conf")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("x\n[a]\nsequence=1\ncommand=iptables -A I -s %IP% -p tcp --dport 2 -j ACCEPT\n[a]\nsequence=1\ncommand=ufw allow ssh")
	f.Add("[a]\nsequence=1\ncommand=awk '{print} {{x}}' %IP% \x00 \xff")
	f.Add("[options]\ninterface=lo\n[openX]\nsequence=1,2\ncommand=/x.sh %IP%\nstop_command=ipset del a %IP%\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		r := FromKnockd("knockd.conf", knockd.Parse([]byte(text)), "")
		if _, err := config.Parse("", []byte(r.TOML)); err != nil {
			t.Errorf("%v\n%s", err, r.TOML)
		}
		if cfg, err := config.Parse("", []byte(r.TOML)); err == nil && (len(cfg.Doors) != r.Doors || len(cfg.Hooks) != r.Hooks) {
			t.Errorf("%d doors, %d hooks\n%s", r.Doors, r.Hooks, r.TOML)
		}
		profiles, _ := Profiles("knockd.conf", knockd.Parse([]byte(text)))
		for i := range profiles {
			profiles[i].Host = "server.example.org"
		}
		if _, err := profile.Parse("", []byte(Text(profiles))); err != nil {
			t.Errorf("%v\n%s", err, Text(profiles))
		}
		for _, l := range r.Losses {
			if line := l.String(); strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q is no line of text", line)
			}
		}
	})
}

// TestSecret makes sure that no loss shows a port of a sequence, whatever is wrong.
func TestSecret(t *testing.T) {
	secret := regexp.MustCompile(`47\d\d`)
	for _, text := range []string{
		"[a]\nsequence = 4711,4712,4713",
		"[a]\nsequence = 4711,4712,471311\ncommand = ufw allow from %IP% to any port 22",
		"[a]\nsequence = 4711 4712\ncommand = ufw allow from %IP% to any port 22",
		"[a]\nsequence = 4711,4712,47x\ncommand = reboot",
		"[a]\nsequence = 4711,4712\ncommand = iptables -F",
		"[a]\nsequence 4711,4712\ncommand = ufw allow from %IP% to any port 22",
		"sequence 4711\n[options]\n4711,4712 = sequence",
		"[a]\nsequence = 4711,4712\ncommand = ufw allow from %IP% to any port 22\n" +
			"[b]\nsequence = 4711,4712\ncommand = ufw allow from %IP% to any port 23",
	} {
		r := FromKnockd("knockd.conf", knockd.Parse([]byte(text)), "")
		if len(r.Losses) == 0 {
			t.Errorf("nothing is lost of\n%s", text)
		}
		for _, l := range r.Losses {
			if secret.MatchString(l.String()) {
				t.Errorf("shows a port: %v", l)
			}
		}
	}
}
