package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock/spa"
)

func TestParseFeatures(t *testing.T) {
	got := mustParse(t, `
[spa]
port = "62202:udp"
max_age = 90

[fleet]
url = "nats://10.0.0.5:4222, tls://[2001:db8::1]"
credentials = "/run/fleet.creds"
key_file = "fleet.key"
group = "bastions"
doors = ["ssh"]
max_grant = "1d12h"

[hook.wake-up]
door = "wake"
on = ["granted", "expired"]
run = ["/usr/bin/logger", "{source} {door} {by} {event}", "{}", "a{b c}"]
timeout = "1m"

[hook.any]
on = ["scan"]
run = ["/bin/true"]

[door.ssh]
ports = [22]
spa_keys = ["keys/alice.spa", "/etc/bob.ring.spa"]
spa_any_source = true

[door.wake]
sequence = [2201, 3302, 1103]
spa_keys = ["keys/alice.spa"]
`)
	alice := SPAKey{Name: "alice", File: "keys/alice.spa"}
	want := SPA{Port: udp(62202), MaxAge: 90 * time.Second, Doors: map[string]SPADoor{
		"ssh":  {Keys: []SPAKey{alice, {Name: "bob.ring", File: "/etc/bob.ring.spa"}}, AnySource: true},
		"wake": {Keys: []SPAKey{alice}},
	}}
	if diff := cmp.Diff(want, got.SPA); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Fleet{
		URLs: []string{"nats://10.0.0.5:4222", "tls://[2001:db8::1]"}, Credentials: "/run/fleet.creds", KeyFile: "fleet.key",
		Group: "bastions", Doors: []string{"ssh"}, MaxGrant: 36 * time.Hour,
	}, got.Fleet); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Hook{
		{"wake-up", "wake", []HookEvent{HookGranted, HookExpired}, []string{"/usr/bin/logger", "{source} {door} {by} {event}", "{}", "a{b c}"}, time.Minute},
		{"any", "", []HookEvent{HookScan}, []string{"/bin/true"}, 30 * time.Second},
	}, got.Hooks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/etc/bob.ring.spa", "keys/alice.spa"}, got.SecretFiles()); diff != "" {
		t.Error(diff)
	}
	if d := got.Doors[1]; d.Ports != nil || len(d.Sequence) != 3 {
		t.Errorf("%+v", d)
	}
}

// TestHookTOML reads what is written.
func TestHookTOML(t *testing.T) {
	want := Hook{"x", "", []HookEvent{HookGranted, HookRefused}, []string{"/bin/sh", "-c", "echo \"$1\"\n\t\x7f\\ 'é'", "{by}"}, time.Minute}
	got := mustParse(t, want.TOML())
	if diff := cmp.Diff([]Hook{want}, got.Hooks); diff != "" {
		t.Error(diff)
	}
}

func TestHookArgs(t *testing.T) {
	c := mustParse(t, `[hook.a]
run = ["/bin/sh", "-c", "awk '{{print}} {x y}' {source}; echo {door}{by}{event} '{\"a\":{}}'"]`)
	got := c.Hooks[0].Args(func(name string) string { return "<" + name + ">" })
	want := []string{"/bin/sh", "-c", `awk '{print} {x y}' <source>; echo <door><by><event> '{"a":{}}'`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A file is refused with the whole of what is said about it.
func TestFeatureErrors(t *testing.T) {
	const ssh = "[door.ssh]\nports = [22]\nsequence = [2201, 3302, 1103]\n"
	for _, tt := range []struct{ toml, want string }{
		{`[spa]
port = 62201
max_age = "2h"
keys = 1
[spa.x]`, `f.toml:2: spa.port: is a TCP port, and packets are UDP: write "62201:udp"
f.toml:3: spa.max_age: 2h is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:4: spa: unknown key "keys": possible here: port, max_age
f.toml:5: spa: unknown key "x": possible here: port, max_age`},
		{`[spa]
[door.a]
ports = ["62201:udp"]
sequence = [5, "62201:udp"]
spa_any_source = true
[door.b]
ports = [22]
spa_keys = []
spa_any_source = 1
[door.c]
ports = [22]
spa_keys = ["a b.spa", "x/alice.spa", "y/alice.key", ""]`, `f.toml:2: door a: spa_keys: is missing: write the key files of those whose packets open the door, such as ["alice.spa"]
f.toml:3: door a: ports: 62201:udp is the port at which packets arrive: guard another, or change spa.port
f.toml:4: door a: sequence: knock 2 is on port 62201:udp, which door a guards: knock on a port that no door guards
f.toml:4: door a: sequence: knock 2 is on the port at which packets arrive (spa.port): knock on another
f.toml:8: door b: spa_keys: is empty: write the key files of those whose packets open the door, such as ["alice.spa"]
f.toml:9: door b: spa_any_source: found a whole number: write true or false
f.toml:12: door c: spa_keys: "a b.spa": the file's name is the person's: write letters, digits, dots, _, @ or -, 64 at most
f.toml:12: door c: spa_keys: x/alice.spa and y/alice.key are two people of one name: call one of the files something else
f.toml:12: door c: spa_keys: is empty: write the name of a file, such as "alice.spa"`},
		{ssh + `[fleet]`, `f.toml:4: fleet.url: is missing: write where NATS is, such as "nats://10.0.0.5:4222"
f.toml:4: fleet.key_file: is missing: write the file with the key that all gates of the group have, such as "fleet.key"
f.toml:4: fleet.group: is missing: write a name that all gates have which share grants, such as "bastions"`},
		{ssh + `[fleet]
url = "nats://a, http://b"
key_file = 3
group = "Bastion hosts"
doors = ["sshd"]
max_grant = "0s"
credentials = ""`, `f.toml:5: fleet.url: invalid address 2: want nats:// or tls://, a host and its port, such as "nats://10.0.0.5:4222"
f.toml:6: fleet.key_file: found a whole number: write the name of a file, such as "fleet.key"
f.toml:7: fleet.group: invalid value "Bastion hosts": want up to 32 lower-case letters, digits, _ or -
f.toml:8: fleet.doors: there is no door sshd: did you mean "ssh"?
f.toml:9: fleet.max_grant: 0s is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d
f.toml:10: fleet.credentials: is empty: write the name of a file, such as "fleet.creds"`},
		{ssh + `[fleet]
url = "nats://me:secret@a"
key_file = "k"
group = "g"
doors = []`, `f.toml:5: fleet.url: address 1 holds a user or password: write these into a file, and its name into credentials
f.toml:8: fleet.doors: is empty: leave it out to share all doors`},
		{ssh + `hook.x = 1
[hook.Wake]
run = "wakeonlan"
[hook.a]
on = ["open", "granted", "granted", 1]
run = ["wakeonlan", "x"]
door = "web"
timeout = "2h"
[hook.b]
run = ["/bin/{door}", "{source}"]
on = []
[hook.c]
door = "ssh"
on = ["scan"]
run = ["/bin/echo", "{ip}", "{SOURCE}", 3]
shell = true
[hook.d]
run = []
[hook.e]`, `f.toml:4: door ssh: unknown key "hook": it belongs at the top of the file, above the first [table]
f.toml:5: hook.Wake: "Wake" is not a name for a hook: write a lower-case letter, then up to 31 lower-case letters, digits, _ or -
f.toml:6: hook.Wake.run: found a string: write a list, such as ["/usr/bin/logger", "{source} is let in"]
f.toml:8: hook.a.on: invalid value "open": want "granted", "revoked", "expired", "refused" or "scan"
f.toml:8: hook.a.on: "granted" is there twice: write it once
f.toml:8: hook.a.on: found a whole number: write an event, such as "granted"
f.toml:9: hook.a.run: "wakeonlan" is not the whole path of a program: write it, such as ["/usr/bin/logger", "{source} is let in"]
f.toml:10: hook.a.door: there is no door web: write the name of one, the NAME of a [door.NAME]
f.toml:11: hook.a.timeout: 2h is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:13: hook.b.run: the program cannot depend on what happens: write its whole path, such as ["/usr/bin/logger", "{source} is let in"]
f.toml:14: hook.b.on: is empty: write "granted", "revoked", "expired", "refused" or "scan"
f.toml:16: hook.c.door: a scan is at no door: leave this out, or take "scan" out of on
f.toml:18: hook.c.run: word 2: nothing is known to fill in for {ip}: possible are {source}, {door}, {by}, {event}; {{ip}} is left as {ip}
f.toml:18: hook.c.run: word 3: nothing is known to fill in for {SOURCE}: possible are {source}, {door}, {by}, {event}; {{SOURCE}} is left as {SOURCE}
f.toml:18: hook.c.run: found a whole number: write word 4 as a string
f.toml:19: hook.c: unknown key "shell": possible here: door, on, run, timeout
f.toml:21: hook.d.run: is empty: write the program and its arguments, such as ["/usr/bin/logger", "{source} is let in"]
f.toml:22: hook.e.run: is missing: write the program and its arguments, such as ["/usr/bin/logger", "{source} is let in"]`},
	} {
		_, err := Parse("f.toml", []byte(tt.toml))
		if err == nil {
			t.Errorf("%s: no error", tt.toml)
			continue
		}
		if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestLoadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("f.toml", "[door.ssh]\nports = [22]\nspa_keys = [\"alice.spa\", \"bob.spa\"]", 0o640)
	alice := spa.NewKey("alice")
	write("alice.spa", alice.File(), 0o600)
	_, err := Load(file)
	if err == nil || !strings.HasSuffix(err.Error(), `bob.spa is not there: "nftknockd spa new DOOR bob" makes it`) {
		t.Error(err)
	}
	bob := write("bob.spa", spa.NewKey("bob").File(), 0o640)
	if _, err = Load(file); err == nil || !strings.Contains(err.Error(), "bob.spa has mode 0640: nobody but its owner may have access: chmod 600") {
		t.Error(err)
	}
	if err := os.Chmod(bob, 0o400); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if k := c.SPA.Doors["ssh"].Keys; !k[0].Key.Equal(alice) || k[1].File != bob {
		t.Errorf("%+v", k)
	}

	write("alice.spa", "KEY_BASE64: YQ==\n", 0o600)
	if _, err = Load(file); err == nil || !strings.Contains(err.Error(), "f.toml:3: door ssh: spa_keys: ") ||
		!strings.HasSuffix(err.Error(), "alice.spa: line 1: KEY_BASE64 has 1 bytes: want 16 to 32; no line HMAC_KEY_BASE64: want what \"fwknop --key-gen\" prints") {
		t.Error(err)
	}

	f := &Fleet{KeyFile: filepath.Join(dir, "fleet.key")}
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"", 0, "is not there: make it once"},
		{"YQ==", 0o600, "holds 1 bytes"},
		{"YQ=!", 0o600, "does not hold base64"},
		{"", 0o604, "has mode 0604"},
		{strings.Repeat("YWFh", 10) + "YmI=\n", 0o600, ""},
	} {
		if tt.mode != 0 {
			write("fleet.key", tt.text, tt.mode)
		}
		key, err := f.ReadKey()
		switch {
		case tt.want == "" && (err != nil || len(key) != 32):
			t.Errorf("%q: %d bytes, %v", tt.text, len(key), err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%q: %v", tt.text, err)
		}
	}
}
