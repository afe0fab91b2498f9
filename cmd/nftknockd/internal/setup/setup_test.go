package setup

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"nftknock/config"
	"nftknock/knock"
)

// TestAddDoor draws often enough that an order would come up.
func TestAddDoor(t *testing.T) {
	t.Parallel()
	host := config.Host{EphemeralFirst: 2048, EphemeralLast: 65535, Listening: map[knock.Port]bool{{Number: 1030, Proto: knock.TCP}: true}}
	for range 300 {
		door := knock.Door{Name: "ssh", Ports: []knock.Port{{Number: 1025, Proto: knock.TCP}, {Number: 1500, Proto: knock.UDP}}}
		text, err := AddDoor("", nil, &door, host)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Parse("", text)
		if err != nil {
			t.Fatal(err)
		}
		if w := cfg.Warnings(host); len(w) > 0 || !slices.Equal(cfg.Doors[0].Sequence, door.Sequence) || len(door.Sequence) != knocks {
			t.Fatalf("%v %v\n%s", door.Sequence, w, text)
		}
		for _, p := range door.Sequence {
			if p.Number < 1026 || p.Number > 2047 || p.Number == 1030 {
				t.Fatalf("knocks on %v", p)
			}
		}
	}
}

func TestAddDoorRefuses(t *testing.T) {
	t.Parallel()
	full := config.Host{EphemeralFirst: 1024, EphemeralLast: 65000}
	if _, err := AddDoor("", nil, &knock.Door{Name: "ssh", Ports: []knock.Port{{Number: 22, Proto: knock.TCP}}}, full); err == nil {
		t.Error("few ports are left, and a sequence was made of them")
	}
}

// TestWriteSecretForGroup writes a file as it has to be where the daemon has a group.
func TestWriteSecretForGroup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const group = 65534
	mode, err := fill(f, "text", group)
	if err != nil || mode != 0o640 {
		t.Fatalf("mode %04o: %v", mode, err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != mode || s.Uid != 0 || s.Gid != group {
		t.Errorf("%v, user %d, group %d", info.Mode(), s.Uid, s.Gid)
	}
}

func TestFreeCodeBase(t *testing.T) {
	for _, tt := range []struct {
		name string
		toml string
		host config.Host
		want uint16
	}{
		{"nothing in the way", "", config.Host{}, 20000},
		{"a guarded port and a knock", "[door.a]\nports = [21999]\nsequence = [25000, 1]", config.Host{}, 22000},
		{"codes", "[door.a]\nports = [1]\notp_base = 21999\notp_secret_file = \"a\"", config.Host{}, 24000},
		{"a listener", "", config.Host{Listening: map[knock.Port]bool{{Number: 20000, Proto: knock.TCP}: true}}, 21000},
		{"the ephemeral range", "", config.Host{EphemeralFirst: 21999, EphemeralLast: 60999}, 61000},
		{"below it", "", config.Host{EphemeralFirst: 20000, EphemeralLast: 65535}, 18000},
		{"nowhere", "", config.Host{EphemeralFirst: 1024, EphemeralLast: 65535}, 0},
	} {
		cfg, err := config.Parse("f.toml", []byte(tt.toml))
		if err != nil {
			t.Fatal(err)
		}
		if got := FreeCodeBase(cfg, tt.host); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
