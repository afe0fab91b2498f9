package profile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

func newProfile(name string, ports ...uint16) Profile {
	p := New(name)
	p.Host = "server.example.org"
	for _, n := range ports {
		p.Sequence = append(p.Sequence, knock.Port{Number: n, Proto: knock.TCP})
	}
	return p
}

const someFile = `# Mine.
[host.a] # the first
host = "a" # an old one
sequence = [1]
# in between
wait = 22

# About b.
[ host . "b" ]
host = "b"
sequence = [
  2,
  3, # more
]
# The end.
`

func TestSet(t *testing.T) {
	added := "\n[host.\"c.d\"]\nhost     = \"server.example.org\"\nsequence = [7, 8]\n"
	replaced := func(name string) string {
		return "[host." + name + "]\nhost     = \"server.example.org\"\nsequence = [7, 8]\n"
	}
	start := strings.Index(someFile, "\n# About b")
	b := strings.Index(someFile, "[ host")
	for _, tt := range []struct {
		name, profile, file, want string
		replaced                  bool
	}{
		{"new file", "a", "", replaced("a"), false},
		{"added", "c.d", someFile, someFile + added, false},
		{"added where the last line has no end", "c.d", "[host.a]\nhost = 'a'\nsequence = [1]", "[host.a]\nhost = 'a'\nsequence = [1]\n" + added, false},
		{"replaced, the first", "a", someFile, "# Mine.\n" + replaced("a") + someFile[start:], true},
		{"replaced, the last", "b", someFile, someFile[:b] + replaced("b") + "# The end.\n", true},
		{"lines of Windows", "a", "# x\r\n[host.a]\r\nhost='x'\r\nsequence=[1]\r\n\r\n", "# x\r\n" + strings.ReplaceAll(replaced("a"), "\n", "\r\n") + "\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, replaced, err := Set("h.toml", []byte(tt.file), newProfile(tt.profile, 7, 8))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || replaced != tt.replaced {
				t.Errorf("replaced: %v\n%s", replaced, diff)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	for _, tt := range []struct{ file, name, want string }{
		{"[host.a]\n", "b", "host a: host: is missing"},
		{"host.a = {host='a', sequence=[1]}\n", "a", "change it by hand"},
		{"host.a.host='a'\nhost.a.sequence=[1]\n", "a", "change it by hand"},
		{"[host.a]\nhost='''\n[host]\n'''\nsequence=[1]\n", "a", "is neither a name nor an address"},
		{"[host.a]\nhost='a'\nsequence=[\n[host]\n]\n", "a", "is not a value"},
		{"[host.a]\nhost='a'\nsequence=[1]\n", "-c", "is not a name for a profile"},
	} {
		got, _, err := Set("h.toml", []byte(tt.file), newProfile(tt.name, 7))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v: %q", tt.file, err, got)
		}
	}
	if _, _, err := Set("h.toml", nil, New("a")); err == nil {
		t.Error("a profile without host or knocks was written")
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x", "nftknock")
	path := filepath.Join(dir, "hosts.toml")
	for i, want := range []bool{false, true, false} {
		name := []string{"a", "a", "b"}[i]
		if replaced, err := Write(path, newProfile(name, uint16(i+1))); err != nil || replaced != want {
			t.Fatalf("%s: replaced: %v, %v", name, replaced, err)
		}
	}
	got, err := Load(path)
	if err != nil || len(got) != 2 || got[0].Sequence[0].Number != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for path, want := range map[string]fs.FileMode{path: 0o600, dir: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}

	// What is wrong with the file is said, and it stays.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var problems Errors
	if _, err := Write(path, newProfile("c", 1)); !errors.As(err, &problems) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("others can read it: %v", err)
	}

	// A link to the file stays a link.
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "hosts.toml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(link, newProfile("c", 1)); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("%q, %v", to, err)
	}
	if got, err := Load(path); err != nil || len(got) != 3 {
		t.Errorf("%d profiles, %v", len(got), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o400 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// FuzzSet looks for files in which a profile that is set is not there afterwards, or
// another one is not as it was.
func FuzzSet(f *testing.F) {
	f.Add(someFile, "a")
	f.Add(Reference, "home")
	f.Add("[host.a]\nhost='''\n[host.b]'''\nsequence=[1]", "a")
	f.Fuzz(func(t *testing.T, file, name string) {
		before, err := Parse("", []byte(file))
		if err != nil {
			return
		}
		result, replaced, err := Set("", []byte(file), newProfile(name, 7))
		if err != nil {
			return
		}
		after, err := Parse("", result)
		if err != nil {
			t.Fatal(err)
		}
		if replaced != (len(before) == len(after)) {
			t.Fatalf("replaced: %v\n%s", replaced, result)
		}
		for _, p := range before {
			if p.Name == name {
				continue
			}
			if got, err := after.Find(p.Name); err != nil || cmp.Diff(p, got, comparable) != "" {
				t.Errorf("%v\n%s", err, result)
			}
		}
	})
}
