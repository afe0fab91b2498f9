package profile

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"nftknock/knock/spa"
)

func TestSPAAddress(t *testing.T) {
	const profile = "[host.a]\nhost = \"a\"\nwait = 22\nspa_key_file = \"alice.spa\"\nspa_address = "
	for value, want := range map[string]netip.Addr{
		`"auto"`:                {},
		`"198.51.100.7"`:        netip.MustParseAddr("198.51.100.7"),
		`"2001:db8::7"`:         netip.MustParseAddr("2001:db8::7"),
		`"::ffff:198.51.100.7"`: netip.MustParseAddr("198.51.100.7"),
		`"0.0.0.0"`:             netip.IPv4Unspecified(),
	} {
		got := mustParse(t, profile+value)[0]
		if got.SPAAddress != want || got.SPAPort != DefaultSPAPort {
			t.Errorf("%s: %v, port %d", value, got.SPAAddress, got.SPAPort)
		}
		if again := mustParse(t, got.TOML())[0]; again.SPAAddress != want {
			t.Errorf("%s written: %v", value, again.SPAAddress)
		}
	}
	for _, value := range []string{`"host.example"`, `"fe80::1%eth0"`, `""`, `7`, `"192.0.2.0/24"`} {
		_, err := Parse("h.toml", []byte(profile+value))
		if err == nil || !strings.Contains(err.Error(), `h.toml:5: host a: spa_address: `) || !strings.Contains(err.Error(), `"auto", an address`) {
			t.Errorf("%s: %v", value, err)
		}
	}
	_, err := Parse("h.toml", []byte("[host.a]\nhost = \"a\"\nsequence = [1]\nspa_address = \"auto\""))
	if err == nil || !strings.Contains(err.Error(), "spa_key_file: is missing") {
		t.Error(err)
	}
}

func TestSPAKey(t *testing.T) {
	p := New("home")
	p.SPAKeyFile = filepath.Join(t.TempDir(), "alice.spa")
	expect := func(want string) {
		t.Helper()
		if _, err := p.SPAKey(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(p.SPAKeyFile, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p.SPAKeyFile, mode); err != nil {
			t.Fatal(err)
		}
	}
	expect("is not there: copy it from where \"nftknockd spa new\" has made it")
	write("KEY_BASE64: secret", 0o600)
	expect("profile home: ")
	expect("line 1: KEY_BASE64 is not base64; no line HMAC_KEY_BASE64")

	want := spa.NewKey("alice")
	write(want.File(), 0o600)
	key, err := p.SPAKey()
	if err != nil || key.Name != "alice" || key.File() != want.File() {
		t.Errorf("%v, %v", key, err)
	}
	if runtime.GOOS != "windows" {
		write(want.File(), 0o640)
		expect("has mode 0640")
	}
}
