package config

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

func TestAddDoor(t *testing.T) {
	minimal := WrittenDoor{Door: defaultDoor("ssh")}
	const text = "[door.ssh]\nports        = [22]\nsequence     = [2201, 3302, 1103]\nopen_timeout = \"1m\"\n"
	full := minimal
	full.Name = "all"
	full.Ports = []knock.Port{tcp(80), udp(53)}
	full.CloseSequence = []knock.Port{udp(7), tcp(9)}
	full.CodeBase, full.OTPSecretFile = 20000, `a "b".otp`
	full.SeqTimeout, full.OpenTimeout = time.Minute, knock.Forever
	full.Shut, full.IPv4Prefix, full.IPv6Prefix = knock.Reject, 24, 64
	full.Sequence = []knock.Port{udp(5), tcp(6)}
	for _, tt := range []struct {
		file, want string
		door       WrittenDoor
	}{
		{"", text, minimal},
		{"# a comment\n\n", "# a comment\n\n\n" + text, minimal},
		{"table = \"x\" # mine", "table = \"x\" # mine\n\n" + text, minimal},
		{"# Windows\r\n[limits]\r\n", "# Windows\r\n[limits]\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n"), minimal},
		{text, text + `
[door.all]
ports           = [80, "53:udp"]
sequence        = ["5:udp", 6]
close_sequence  = ["7:udp", 9]
otp_secret_file = "a \"b\".otp"
otp_base        = 20000
seq_timeout     = "1m"
open_timeout    = "forever"
shut            = "reject"
ipv4_prefix     = 24
ipv6_prefix     = 64
`, full},
	} {
		got, err := AddDoor("f.toml", []byte(tt.file), tt.door)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Error(diff)
		}
		doors := mustParse(t, string(got)).Doors
		if diff := cmp.Diff(tt.door.Door, doors[len(doors)-1]); diff != "" {
			t.Error(diff)
		}
	}

	packaged, err := os.ReadFile("../systemd/debian/nftknockd.toml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := AddDoor("f.toml", packaged, minimal)
	if err != nil || string(got) != string(packaged)+"\n"+text {
		t.Errorf("%v\n%s", err, got)
	}

	_, err = AddDoor("f.toml", []byte(text), minimal)
	if err == nil || !strings.Contains(err.Error(), "f.toml has a door ssh already") {
		t.Error(err)
	}
	var problems Errors
	other := minimal
	other.Name = "other"
	for _, file := range []string{"tabel = 1", text} { // not valid, and not valid together
		if _, err := AddDoor("f.toml", []byte(file), other); !errors.As(err, &problems) {
			t.Error(err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1d": 24 * time.Hour, "25h": 25 * time.Hour, "90s": 90 * time.Second, "2m": 2 * time.Minute,
		"1.5s": 1500 * time.Millisecond, "365d": maxOpenTimeout, "forever": knock.Forever,
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v: %s, not %s", d, got, want)
		}
		if got, err := ParseOpenTimeout(want); err != nil || got != d {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
}
