package config

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// HostsReference is a hosts.toml that shows every key, explains it, and works.
//
//go:embed hosts.toml
var HostsReference string

// Hosts is a valid hosts.toml: the profiles of a client's user, in the order of the file.
type Hosts []Profile

// HostsPath returns where the hosts.toml of the user is, whether there is one or not.
func HostsPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where the user's configuration is: %w", err)
	}
	return filepath.Join(dir, "nftknock", "hosts.toml"), nil
}

// LoadHosts reads the profiles in a file. It refuses a file that others can read, except
// on Windows, whose files have no such mode, and the user's folders no such readers.
// Errors are as those of [Load].
func LoadHosts(path string) (Hosts, error) {
	data, mode, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: %s", err, hostsHint(err))
	}
	if runtime.GOOS == "windows" {
		mode = 0
	}
	return parseHosts(path, data, mode)
}

func hostsHint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return `the file has a [host.NAME] for each profile: "nftknockd init" on the server prints one, "nftknock import-conf" makes them of a knockd.conf`
	case errors.Is(err, fs.ErrPermission):
		return "the file has to be that of the user who knocks"
	}
	return "this is where the user's profiles have to be"
}

// ParseHosts reads profiles. The name is the file's in messages. An error is of
// type [Errors].
func ParseHosts(name string, data []byte) (Hosts, error) {
	return parseHosts(name, data, 0)
}

func parseHosts(name string, data []byte, mode fs.FileMode) (Hosts, error) {
	d := &document{file: name, hosts: true}
	root := d.open(data)
	if len(root.keys) > 0 && mode&0o077 != 0 {
		d.report(0, "", "", "holds secrets, and others can read it (mode %04o): chmod 600 %s", mode.Perm(), plain(name))
	}
	profiles := d.profiles(root)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, d.problems
	}
	return profiles, nil
}

// profiles reads the whole file.
func (d *document) profiles(root *section) Hosts {
	root.refuseUnknown([]string{"host"})
	tables, ok := root.keys["host"]
	if !ok {
		return nil
	}
	const right = "a profile is a table with a name, such as [host.home]"
	named, ok := tables.table()
	if !ok {
		root.fail("host", "found %s: %s", kind(tables.value()), right)
		return nil
	}
	var hosts Hosts
	for _, name := range slices.SortedFunc(maps.Keys(named), d.inFileOrder("host")) {
		keys, ok := named[name].table()
		if !ok {
			d.report(named[name].line(), name, "", "found %s: %s", kind(named[name].value()), right)
			continue
		}
		hosts = append(hosts, readProfile(&section{doc: d, node: named[name], keys: keys, door: name}))
	}
	return hosts
}

// Find returns the profile of a name, or an error that says which one may be meant.
func (h Hosts) Find(name string) (Profile, error) {
	names := make([]string, len(h))
	for i, p := range h {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	if nearest, ok := Nearest(name, names); ok {
		return Profile{}, fmt.Errorf("no profile is called %s: did you mean %q?", plain(name), nearest)
	}
	return Profile{}, fmt.Errorf("no profile is called %s", plain(name))
}
