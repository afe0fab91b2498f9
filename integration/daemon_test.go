package integration

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateTable is the table that a daemon owns if its configuration says nothing
// else.
const gateTable = "nftknock"

// A daemon is a running nftknockd.
type daemon struct {
	*process
	host   *host
	socket string // for control
}

// startDaemon starts nftknockd and returns when it guards.
func startDaemon(t testing.TB, h *host, config string) *daemon {
	t.Helper()
	return startDaemonFile(t, h, writeConfig(t, config))
}

func startDaemonFile(t testing.TB, h *host, config string) *daemon {
	t.Helper()
	notify := listenNotify(t)
	socket := newSocket(t)
	cmd := command(context.Background(), t, program, "run", "--socket", socket, "-c", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	d := &daemon{h.startCmd(t, cmd), h, socket}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: nft list ruleset:\n%s", h.name, h.try(t, "nft", "list", "ruleset").stdout)
		}
		if !d.stop(syscall.SIGTERM) {
			t.Errorf("nftknockd has not stopped %v after SIGTERM", aWhile)
		}
		if strings.Contains(d.log(), "DATA RACE") {
			t.Error("the race detector found something")
		}
	})

	for deadline := time.Now().Add(aWhile); ; {
		switch state := nextNotice(notify); {
		case hasLine(state, "READY=1"):
			return d
		case d.ended():
			t.Fatalf("nftknockd has ended instead of getting ready: %v", d.cmd.ProcessState)
		case time.Now().After(deadline):
			t.Fatalf("nftknockd is not ready after %v", aWhile)
		}
	}
}

// log returns what the daemon has logged.
func (d *daemon) log() string { return d.out.String() }

// writeConfig writes a configuration as an administrator would keep it: for
// nobody else to read.
func writeConfig(t testing.TB, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nftknockd.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newSocket returns where a daemon's control socket can be. The directories of
// tests can be too deep for one.
func newSocket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nftknockd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "control.sock")
}

// listenNotify is systemd's end of sd_notify(3).
func listenNotify(t testing.TB) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// nextNotice returns the next message of the daemon, or nothing if none comes
// soon.
func nextNotice(c *net.UnixConn) string {
	b := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := c.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	return string(b[:n])
}

func hasLine(text, line string) bool {
	for l := range strings.Lines(text) {
		if strings.TrimRight(l, "\n") == line {
			return true
		}
	}
	return false
}
