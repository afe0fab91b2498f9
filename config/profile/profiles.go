// Package profile reads and writes hosts.toml, in which a client's user keeps whom to knock
// at and with what: profiles.
package profile

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"nftknock/config/internal/doc"
)

// A Problem is something in a hosts.toml that is wrong.
type Problem = doc.Problem

// Errors is all that is wrong with a file, in the order of its lines.
type Errors = doc.Errors

// A Secret is text that must not get into a log or an error.
type Secret = doc.Secret

// Reference is a hosts.toml that shows every key, explains it, and works.
//
//go:embed hosts.toml
var Reference string

// Profiles is a valid hosts.toml: the profiles of a client's user, in the order of the file.
type Profiles []Profile

// Path returns where the hosts.toml of the user is, whether there is one or not.
func Path() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where the user's configuration is: %w", err)
	}
	return filepath.Join(dir, "nftknock", "hosts.toml"), nil
}

// Load reads the profiles in a file. It refuses a file that others can read, except
// on Windows, whose files have no such mode, and the user's folders no such readers.
// An error is of type [Errors] if it is about what the file says; otherwise it wraps the
// operating system's, and its last line is a hint at what to do.
func Load(path string) (Profiles, error) {
	data, mode, err := doc.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: %s", err, hint(err))
	}
	if runtime.GOOS == "windows" {
		mode = 0
	}
	return parse(path, data, mode)
}

func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return `the file has a [host.NAME] for each profile: "nftknock add" takes the line that "nftknockd init" prints on the server, "nftknock import-conf" makes them of a knockd.conf`
	case errors.Is(err, fs.ErrPermission):
		return "the file has to be that of the user who knocks"
	}
	return "this is where the user's profiles have to be"
}

// Parse reads profiles. The name is the file's in messages. An error is of type
// [Errors].
func Parse(name string, data []byte) (Profiles, error) { return parse(name, data, 0) }

func parse(name string, data []byte, mode fs.FileMode) (Profiles, error) {
	d, file := read(name, data, mode)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return file.profiles, nil
}

// A file is a hosts.toml as it is read: each profile with its section.
type file struct {
	profiles Profiles
	sections []*doc.Section
}

// read reads a file; its problems are the document's.
func read(name string, data []byte, mode fs.FileMode) (*doc.Document, *file) {
	d := &doc.Document{File: name, Hosts: true, Elsewhere: elsewhere}
	root := d.Open(data)
	if len(root.Keys) > 0 && mode&0o077 != 0 {
		d.Report(0, "", "", "holds secrets, and others can read it (mode %04o): chmod 600 %s", mode.Perm(), doc.Plain(name))
	}
	root.RefuseUnknown([]string{"host"})
	f := &file{sections: root.Named("host", "a profile is a table with a name, such as [host.home]")}
	for _, s := range f.sections {
		f.profiles = append(f.profiles, readProfile(s))
	}
	return d, f
}

func elsewhere(_ *doc.Section, key string) string {
	if slices.Contains(profileKeys, key) {
		return "it belongs in a profile, such as [host.home]"
	}
	return ""
}

// Nearest returns the one of the known words that somebody may have meant by another, if
// one of them is near enough.
func Nearest(word string, known []string) (string, bool) { return doc.Nearest(word, known) }

// Find returns the profile of a name, or an error that says which one may be meant.
func (ps Profiles) Find(name string) (Profile, error) {
	names := make([]string, len(ps))
	for i, p := range ps {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	if nearest, ok := doc.Nearest(name, names); ok {
		return Profile{}, fmt.Errorf("no profile is called %s: did you mean %q?", doc.Plain(name), nearest)
	}
	return Profile{}, fmt.Errorf("no profile is called %s", doc.Plain(name))
}
