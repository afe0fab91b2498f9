package migrate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/config"
	"nftknock/config/profile"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "fwknop", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func lossText(losses []Loss) string {
	var b strings.Builder
	for _, l := range losses {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

func keyText(keys []KeyFile) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "== %s\n%s", k.Name, string(k.Text))
	}
	return b.String()
}

func TestFromAccess(t *testing.T) {
	r := FromAccess("access.conf", readTestdata(t, "access.conf"), "fwknopd.conf", readTestdata(t, "fwknopd.conf"))
	golden(t, "testdata/fwknop/access.toml", r.TOML)
	golden(t, "testdata/fwknop/access.lost", lossText(r.Losses))
	golden(t, "testdata/fwknop/access.keys", keyText(r.KeyFiles))

	// It is valid with its key files, and these are for nobody else.
	dir := t.TempDir()
	file := filepath.Join(dir, "nftknockd.toml")
	if err := os.WriteFile(file, []byte(r.TOML), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeys(dir, r.KeyFiles); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Doors) != r.Doors || len(cfg.SPA.Doors) != r.Doors {
		t.Errorf("%d doors: %+v", r.Doors, cfg.SPA)
	}
	if info, err := os.Stat(filepath.Join(dir, r.KeyFiles[0].Name)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Nothing is overwritten, and nothing is left of what could not be written.
	if err := os.Remove(filepath.Join(dir, r.KeyFiles[0].Name)); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeys(dir, r.KeyFiles); err == nil {
		t.Error("overwritten")
	}
	if _, err := os.Stat(filepath.Join(dir, r.KeyFiles[0].Name)); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestFwknopProfiles(t *testing.T) {
	profiles, keys, losses := FwknopProfiles(".fwknoprc", readTestdata(t, "fwknoprc"))
	text := Text(profiles)
	golden(t, "testdata/fwknop/hosts.toml", text)
	golden(t, "testdata/fwknop/hosts.lost", lossText(losses))
	golden(t, "testdata/fwknop/hosts.keys", keyText(keys))
	if _, err := profile.Parse("", []byte(text)); err != nil {
		t.Error(err)
	}
	profiles, keys, losses = AccessProfiles("access.conf", readTestdata(t, "access.conf"))
	golden(t, "testdata/fwknop/access-hosts.toml", Text(profiles))
	golden(t, "testdata/fwknop/access-hosts.lost", lossText(losses))
	if len(keys) != len(profiles) {
		t.Error(keys)
	}
}

// TestFwknopSecret makes sure that nothing tells a key, whatever is wrong.
func TestFwknopSecret(t *testing.T) {
	for _, text := range []string{
		"SOURCE ANY\nOPEN_PORTS tcp/22\nKEY hunter2\nHMAC_KEY hunter2hunter2hunter2",
		"SOURCE ANY\nOPEN_PORTS tcp/22\nKEY_BASE64 hunter2!\nhunter2\nhunter2_x",
		"SOURCE ANY\nOPEN_PORTS hunter2\nKEY",
		"hunter2\nSOURCE ANY",
		"[a]\nSPA_SERVER x\nACCESS tcp/22\nKEY hunter2\nhunter2\nhunter2 x",
	} {
		r := FromAccess("access.conf", []byte(text), "fwknopd.conf", nil)
		_, _, ofAccess := AccessProfiles("access.conf", []byte(text))
		_, _, ofClient := FwknopProfiles("access.conf", []byte(text))
		all := strings.ToLower(r.TOML + lossText(r.Losses) + lossText(ofAccess) + lossText(ofClient))
		if strings.Contains(all, "hunter2") {
			t.Errorf("of\n%s\nit tells\n%s", text, all)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		data string
		want Kind
	}{
		{string(readTestdata(t, "access.conf")), Access},
		{string(readTestdata(t, "fwknoprc")), Fwknoprc},
		{"SOURCE: ANY", Access},
		{"[options]\nUseSyslog\n[SOURCE]\nsource = 1", Knockd},
		{"", Knockd},
		{"nonsense", Knockd},
	} {
		if got := KindOf([]byte(tt.data)); got != tt.want {
			t.Errorf("%q: %v", tt.data, got)
		}
	}
}

// FuzzFromAccess looks for files that make it panic, make a configuration that does not
// load, or tell a key.
func FuzzFromAccess(f *testing.F) {
	f.Add(readTestdata(f, "access.conf"), readTestdata(f, "fwknopd.conf"))
	f.Add([]byte("SOURCE ANY\nOPEN_PORTS udp/62201\nKEY 0123456789abcdef\nHMAC_KEY x0123456789abcdef"), []byte("PCAP_INTF lo;\nMAX_SPA_PACKET_AGE 0"))
	f.Fuzz(func(t *testing.T, data, server []byte) {
		r := FromAccess("access.conf", data, "fwknopd.conf", server)
		cfg, err := config.Parse("", []byte(r.TOML))
		if err != nil {
			t.Fatalf("%v\n%s", err, r.TOML)
		}
		if len(cfg.Doors) != r.Doors {
			t.Errorf("%d doors\n%s", r.Doors, r.TOML)
		}
		for _, k := range r.KeyFiles {
			if !fs.ValidPath(k.Name) || strings.Contains(k.Name, "/") {
				t.Errorf("%q", k.Name)
			}
		}
	})
}

// FuzzFwknopProfiles looks for files that make it panic, or make profiles that are not valid.
func FuzzFwknopProfiles(f *testing.F) {
	f.Add(readTestdata(f, "fwknoprc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		profiles, keys, _ := FwknopProfiles(".fwknoprc", data)
		if _, err := profile.Parse("", []byte(Text(profiles))); err != nil {
			t.Errorf("%v\n%s", err, Text(profiles))
		}
		if len(keys) != len(profiles) {
			t.Error(len(keys))
		}
		AccessProfiles("access.conf", data)
	})
}
