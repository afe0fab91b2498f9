package functional

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// A user is somebody with a hosts.toml, who runs nftknock.
type user struct {
	host *lab.Host
	env  []string // a command that runs another one as this user
}

// newUser writes the user's profiles for nobody else to read.
func newUser(t testing.TB, h *lab.Host, profiles string) *user {
	t.Helper()
	home := t.TempDir()
	dir := filepath.Join(home, "config", "nftknock")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	return &user{h, []string{
		"env", "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
	}}
}

// with is the arguments of the user's command that runs a program.
func (u *user) with(name string, args ...string) []string {
	return append(append(u.env[1:len(u.env):len(u.env)], name), args...)
}

// run runs a program that has to succeed, and returns what it prints.
func (u *user) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return u.host.Run(t, u.env[0], u.with(name, args...)...)
}

// resolving is a command that runs another one where a name has the server's addresses.
func resolving(t testing.TB, name string) []string {
	t.Helper()
	return resolvingTo(t, name, lab.IPv6.Addr(1, 0, 1), lab.IPv4.Addr(1, 0, 1))
}

// resolvingTo is a command that runs another one where a name has these addresses.
func resolvingTo(t testing.TB, name string, addrs ...netip.Addr) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hosts")
	var hosts strings.Builder
	for _, a := range addrs {
		fmt.Fprintf(&hosts, "%v %s\n", a, name)
	}
	if err := os.WriteFile(file, []byte(hosts.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, file}
}
