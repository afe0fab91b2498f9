package profile

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/config/internal/doc"
	"nftknock/config/internal/doctest"
	"nftknock/knock"
)

var comparable = cmpopts.EquateComparable(netip.Addr{})

func mustParse(t *testing.T, toml string) Profiles {
	t.Helper()
	hosts, err := Parse("hosts.toml", []byte(toml))
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

// The reference is valid, has every key, and says of each what its default is.
func TestReference(t *testing.T) {
	got := mustParse(t, Reference)
	if len(got) != 1 {
		t.Fatalf("%d profiles", len(got))
	}
	want := mustParse(t, "[host.home]\nhost = \"server.example.org\"\nsequence = [1]")
	want[0].Sequence, want[0].CloseSequence = got[0].Sequence, got[0].CloseSequence
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Error(diff)
	}
	for _, key := range profileKeys {
		if !regexp.MustCompile(`(?m)^(# )?` + key + ` += `).MatchString(Reference) {
			t.Errorf("key %s is not in the reference", key)
		}
	}
	if doc.MaxCodeBase != 63536 || knock.CodePorts != 2000 || maxMute != 24*time.Hour || maxDelay != time.Minute {
		t.Error("the reference states other limits")
	}
	// What it shows without having it is valid too.
	shown := regexp.MustCompile(`(?m)^# ([a-z_]+ += )`).ReplaceAllString(Reference, "$1")
	mustParse(t, strings.ReplaceAll(shown, "BASE32", "JBSWY3DPEHPK3PXPJBSWY3DPEH"))
}

func TestParse(t *testing.T) {
	got := mustParse(t, `
[host.b]
host = "b.example.org"
sequence = [7214, "8391:udp"]
close_sequence = ["8391:udp"]
delay = "0s"
family = "ipv6"
source = "2001:db8::7"
wait = 22
mute = "1m30s"

[host."a.example.org"]
host = "192.0.2.1"
otp_secret = "jbsw y3dp-ehpk 3pxp jbsw y3dp eh======"
otp_base = 63536
`)
	want := Profiles{{
		Name: "b", Host: "b.example.org",
		Sequence:      []knock.Port{{Number: 7214, Proto: knock.TCP}, {Number: 8391, Proto: knock.UDP}},
		CloseSequence: []knock.Port{{Number: 8391, Proto: knock.UDP}},
		Family:        IPv6, Source: netip.MustParseAddr("2001:db8::7"), Wait: 22, Mute: 90 * time.Second,
	}, {
		Name: "a.example.org", Host: "192.0.2.1", Delay: DefaultDelay, Family: AnyFamily,
		OTPSecret: "JBSWY3DPEHPK3PXPJBSWY3DPEH", OTPBase: 63536,
	}}
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Error(diff)
	}
}

// errorTests are files that are refused, with the whole of what is said about them.
var errorTests = []struct {
	name, toml, want string
}{{
	name: "not profiles",
	toml: `hosts = 1
sequence = [1]
host = "server.example.org"`,
	want: `h.toml:1: unknown key "hosts": did you mean "host"?
h.toml:2: unknown key "sequence": it belongs in a profile, such as [host.home]
h.toml:3: host: found a string: a profile is a table with a name, such as [host.home]`,
}, {
	name: "a profile without a name",
	toml: `[host]
host = "server.example.org"
sequence = [1]`,
	want: `h.toml:2: host host: found a string: a profile is a table with a name, such as [host.home]
h.toml:3: host sequence: found a list: a profile is a table with a name, such as [host.home]`,
}, {
	name: "nothing in it",
	toml: `[host.a]
[host."-b"]`,
	want: `h.toml:1: host a: host: is missing: write whom to knock at, such as "server.example.org"
h.toml:1: host a: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]
h.toml:2: host -b: "-b" is not a name for a profile: write a letter or digit, then up to 63 letters, digits, dots, _ or -
h.toml:2: host -b: host: is missing: write whom to knock at, such as "server.example.org"
h.toml:2: host -b: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]`,
}, {
	name: "wrong types",
	toml: `[host.a]
host = 3
sequence = "2201,3302,1103"
close_sequence = 3
delay = 50
family = 4
source = 3
wait = "22"
mute = 60
otp_secret = 3
otp_base = "40000"`,
	want: `h.toml:2: host a: host: found a whole number: write a name or an address, such as "server.example.org"
h.toml:3: host a: sequence: found a string: write a list, such as [PORT, "PORT:udp", PORT]
h.toml:4: host a: close_sequence: found a whole number: write a list, such as [PORT, "PORT:udp", PORT]
h.toml:5: host a: delay: found a whole number: write a duration such as "50ms", from "0s" to "1m"
h.toml:6: host a: family: found a whole number: write "any", "ipv4" or "ipv6"
h.toml:7: host a: source: found a whole number: write an address of this machine, such as "192.0.2.7"
h.toml:8: host a: wait: found a string: write a whole number from 1 to 65535
h.toml:9: host a: mute: found a whole number: write a duration such as "1m", from "0s" to "24h"
h.toml:10: host a: otp_secret: found a whole number: write the secret in base32: letters, and digits from 2 to 7
h.toml:11: host a: otp_base: found a string: write a whole number from 1 to 63536`,
}, {
	name: "wrong values",
	toml: `[host.a]
host = "two words"
sequence = [2201, 70000]
close_sequence = []
delay = "2m"
family = "ipv5"
source = "localhost"
wait = 0
mute = "soon"
otp_secret = "SECRET1"
otp_base = 64000
[host.b]
host = ""
sequence = [1]
family = "ipv6"
source = "192.0.2.7"
otp_secret = "ABCD"
[host.c]
host = "c"
sequence = [1]
otp_base = 40000`,
	want: `h.toml:2: host a: host: "two words" is neither a name nor an address: write one without spaces, such as "server.example.org"
h.toml:3: host a: sequence: knock 2 is not a port: write a number from 1 to 65535, or "PORT:udp"
h.toml:4: host a: close_sequence: is empty: leave it out if there is nothing to knock
h.toml:5: host a: delay: 2m is out of range: write a duration such as "50ms", from "0s" to "1m"
h.toml:6: host a: family: invalid value "ipv5": want "any", "ipv4" or "ipv6"
h.toml:7: host a: source: invalid value "localhost": want an address of this machine, such as "192.0.2.7"
h.toml:8: host a: wait: 0 is out of range: write a whole number from 1 to 65535
h.toml:9: host a: mute: invalid value "soon": want a duration such as "1m", from "0s" to "24h"
h.toml:10: host a: otp_secret: does not hold base32: write the letters a to z and digits 2 to 7 that an authenticator app takes
h.toml:11: host a: otp_base: 64000 is out of range: write a whole number from 1 to 63536
h.toml:12: host b: otp_base: is missing: write the first of the ports that codes are knocked on
h.toml:13: host b: host: is empty: write whom to knock at, such as "server.example.org"
h.toml:16: host b: source: is not an address of the family "ipv6": change one of them
h.toml:17: host b: otp_secret: holds 16 bits: at least 128 are needed (RFC 4226, section 4), and 160 recommended
h.toml:18: host c: otp_secret: is missing: write the secret that the codes come from, in base32`,
}, {
	name: "unknown keys",
	toml: `[host.a]
host = "a"
sequnce = [1]
sequence = [1]
ports = [22]
[host.a.deep]`,
	want: `h.toml:3: host a: unknown key "sequnce": did you mean "sequence"?
h.toml:5: host a: unknown key "ports": possible here: host, sequence, close_sequence, delay, family, source, wait, mute, otp_secret, otp_base, spa_key_file, spa_port, spa_address
h.toml:6: host a: unknown key "deep": possible here: host, sequence, close_sequence, delay, family, source, wait, mute, otp_secret, otp_base, spa_key_file, spa_port, spa_address`,
}}

func TestErrors(t *testing.T) {
	for _, tt := range errorTests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("h.toml", []byte(tt.toml))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
			doctest.CheckErrors(t, err)
		})
	}
}

func TestErrorsShowNoSecret(t *testing.T) {
	for _, secret := range []string{
		`JBSWY3DPEHPK3PXPJBSWY3DPEH`, `"JBSWY3DPEHPK3PX1"`, `"JBSWY3DPEHPK3PXP`, `'JBSWY3DPEHPK3PXP`, `["JBSWY3DPEHPK3PXP"]`,
		`"JBSWY3DPEHPK3PXP" JBSWY3DP`, `JBSWY3DP EHPK3PXP`, `"JBSWY3DP\EHPK3PXP"`, `2JBSWY3DPEHPK3PXP`,
	} {
		_, err := Parse("h.toml", []byte("[host.a]\nhost = \"a\"\notp_base = 40000\notp_secret = "+secret))
		if err == nil {
			t.Errorf("%s: no error", secret)
		} else if strings.Contains(err.Error(), "EHPK") || strings.Contains(err.Error(), "BSWY") {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.toml")
	write := func(mode fs.FileMode, toml string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "\nhint: ") {
		t.Errorf("without a file: %v", err)
	}
	write(0o600, Reference)
	if hosts, err := Load(path); err != nil || len(hosts) != 1 {
		t.Errorf("%d profiles, %v", len(hosts), err)
	}
	write(0o644, "# no profile, no secret")
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []fs.FileMode{0o604, 0o640, 0o620, 0o601} {
		write(mode, Reference)
		want := path + ": holds secrets, and others can read it (mode 06"
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), "chmod 600 "+path) {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

func TestFind(t *testing.T) {
	hosts := Profiles{{Name: "home"}, {Name: "office"}}
	if p, err := hosts.Find("office"); err != nil || p.Name != "office" {
		t.Errorf("%v, %v", p.Name, err)
	}
	for name, want := range map[string]string{
		"offcie": `no profile is called offcie: did you mean "office"?`,
		"garden": `no profile is called garden`,
		"a\nb":   `no profile is called "a\nb"`,
	} {
		if _, err := hosts.Find(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse looks for files that make Parse panic, return what is not
// valid, or report what is not one line each.
func FuzzParse(f *testing.F) {
	f.Add(Reference)
	for _, tt := range errorTests {
		f.Add(tt.toml)
	}
	f.Fuzz(func(t *testing.T, toml string) {
		hosts, err := Parse("h.toml", []byte(toml))
		if err != nil {
			doctest.CheckErrors(t, err)
			return
		}
		for _, p := range hosts {
			if !profileName.MatchString(p.Name) || p.Host == "" ||
				len(p.Sequence) == 0 && p.OTPSecret == "" && p.SPAKeyFile == "" || len(p.Sequence) > knock.MaxSequence ||
				(p.OTPSecret == "") != (p.OTPBase == 0) || p.OTPBase > doc.MaxCodeBase ||
				p.Delay < 0 || p.Delay > maxDelay || p.Mute < 0 || p.Mute > maxMute {
				t.Errorf("%+v", p)
			}
			// What is written is what was read.
			again, err := Parse("h.toml", []byte(p.TOML()))
			if err != nil {
				t.Errorf("%v\n%s", err, p.TOML())
			} else if diff := cmp.Diff(p, again[0], comparable); diff != "" {
				t.Error(diff)
			}
		}
	})
}
