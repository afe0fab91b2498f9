package knocker

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/config/profile"
)

// One program knocks at a host at a time, and others wait, but not for ever.
func TestLock(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // elsewhere than on Linux
	t.Setenv("LocalAppData", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		at := func(host string) *Knocker {
			return &Knocker{Target: &Target{Profile: profile.Profile{Host: host}}, Stderr: os.Stderr}
		}
		unlock := at("server.example.org").lockHost()
		begin := time.Now()
		at("other.example.org").lockHost()()
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("another host: waited for %v", waited)
		}
		at("Server.example.org").lockHost()()
		if waited := time.Since(begin); waited != lockTimeout {
			t.Errorf("the same host: waited for %v, want %v", waited, lockTimeout)
		}

		begin = time.Now()
		go func() {
			time.Sleep(time.Second)
			unlock()
		}()
		at("server.example.org").lockHost()()
		if waited := time.Since(begin); waited < time.Second || waited > time.Second+2*lockPause {
			t.Errorf("a host that is free after a second: waited for %v", waited)
		}
	})
}

func TestLockWithoutMemory(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/dev/null")
	t.Setenv("HOME", "/dev/null")
	t.Setenv("LocalAppData", "")
	k := &Knocker{Target: &Target{Profile: profile.Profile{Host: "server.example.org"}}, Stderr: os.Stderr}
	k.lockHost()()
}
