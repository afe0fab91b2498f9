package lab

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

// GateTable is the table that a daemon owns if its configuration says nothing
// else.
const GateTable = "nftknock"

// A Daemon is a running nftknockd.
type Daemon struct {
	*Process
	Host   *Host
	Socket string // for control
}

// StartDaemon starts nftknockd and returns when it guards.
func StartDaemon(t testing.TB, h *Host, config string) *Daemon {
	t.Helper()
	return StartDaemonFile(t, h, WriteConfig(t, config))
}

// StartDaemonFile is StartDaemon with a configuration that is in a file already.
func StartDaemonFile(t testing.TB, h *Host, config string) *Daemon {
	t.Helper()
	return StartDaemonAt(t, h, config, NewSocket(t))
}

// StartDaemonAt is StartDaemonFile with the control socket of an earlier daemon.
func StartDaemonAt(t testing.TB, h *Host, config, socket string) *Daemon {
	t.Helper()
	notify := ListenNotify(t)
	cmd := Command(context.Background(), t, Nftknockd, "run", "--socket", socket, "-c", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	d := &Daemon{h.StartCmd(t, cmd), h, socket}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: nft list ruleset:\n%s", h.Name, h.Try(t, "nft", "list", "ruleset").Stdout)
		}
		if !d.Stop(syscall.SIGTERM) {
			t.Errorf("nftknockd has not stopped %v after SIGTERM", Timeout)
		}
		if strings.Contains(d.Log(), "DATA RACE") {
			t.Error("the race detector found something")
		}
	})

	for deadline := time.Now().Add(Timeout); ; {
		switch state := NextNotice(notify); {
		case HasLine(state, "READY=1"):
			return d
		case d.Ended():
			t.Fatalf("nftknockd has ended instead of getting ready: %v", d.Cmd.ProcessState)
		case time.Now().After(deadline):
			t.Fatalf("nftknockd is not ready after %v", Timeout)
		}
	}
}

// Log returns what the daemon has logged.
func (d *Daemon) Log() string { return d.Out.String() }

// WriteConfig writes a configuration as an administrator would keep it: for
// nobody else to read.
func WriteConfig(t testing.TB, config string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nftknockd.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// NewSocket returns where a daemon's control socket can be. The directories of
// tests can be too deep for one.
func NewSocket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nftknockd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "control.sock")
}

// ListenNotify is systemd's end of sd_notify(3).
func ListenNotify(t testing.TB) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// NextNotice returns the next message of the daemon, or nothing if none comes
// soon.
func NextNotice(c *net.UnixConn) string {
	b := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := c.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	return string(b[:n])
}

// HasLine reports whether one of the lines of a text is this one.
func HasLine(text, line string) bool {
	for l := range strings.Lines(text) {
		if strings.TrimRight(l, "\n") == line {
			return true
		}
	}
	return false
}
