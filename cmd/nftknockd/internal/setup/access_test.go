package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestObstacles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "etc")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file, secret := filepath.Join(dir, "nftknockd.toml"), filepath.Join(dir, "ssh.otp")
	for _, name := range []string{file, secret} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	me := fileReader{uint32(os.Getuid()), []uint32{uint32(os.Getgid())}}
	if got := me.obstacles(file, []string{secret}); len(got) > 0 {
		t.Errorf("the owner: %q", got)
	}
	has := func(r fileReader, want ...string) {
		t.Helper()
		var got []string
		for _, o := range r.obstacles(file, []string{secret}) {
			if strings.HasPrefix(o, dir) { // and not the folders above, which are the machine's
				got = append(got, o)
			}
		}
		for i, w := range want {
			if i >= len(got) || !strings.Contains(got[i], w) {
				t.Errorf("got %q, want %q", got, want)
				return
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	other := fileReader{4242, []uint32{4242}}
	member := fileReader{4242, []uint32{4242, uint32(os.Getgid())}}
	has(other, "chgrp nftknock "+dir+" && chmod g+x", "chgrp nftknock "+file+" && chmod 640", "chown nftknock "+secret)
	os.Chmod(dir, 0o710)
	os.Chmod(file, 0o640)
	has(member, "chown nftknock "+secret)
	has(other, "chmod g+x", "chmod 640", "chown nftknock")
}
