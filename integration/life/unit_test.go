package life

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A unit is a daemon as the service manager has it: started, heard of, told to
// reload, started again.
type unit struct {
	*lab.Daemon
	notices chan string // what it tells the service manager
	prelude string      // begins each of its configurations

	mayBeAmiss bool // it may have to try something again
}

// startUnit starts nftknockd, and does not wait for it to be ready.
func startUnit(t *testing.T, h *lab.Host, config string) *unit {
	t.Helper()
	return startProgram(t, lab.Nftknockd, h, config)
}

// startProgram is startUnit for another nftknockd.
func startProgram(t *testing.T, program string, h *lab.Host, config string) *unit {
	t.Helper()
	manager := lab.ListenNotify(t)
	socket := lab.NewSocket(t)
	cmd := lab.Command(context.Background(), t, program, "run", "--socket", socket, "-c", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+manager.LocalAddr().String())
	h.GiveState(cmd)
	// Not StartCmd, which would show all that each of a hundred daemons has said.
	p := &lab.Process{Cmd: cmd, Done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.Out, &p.Out
	if err := h.In(cmd.Start); err != nil {
		t.Fatalf("%s: starting %v: %v", h.Name, cmd.Args, err)
	}
	go func() {
		cmd.Wait()
		close(p.Done)
	}()
	u := &unit{Daemon: &lab.Daemon{Process: p, Host: h, Socket: socket}, notices: readNotices(manager)}
	t.Cleanup(func() {
		ended := u.Ended()
		u.kill(t)
		if !ended && t.Failed() {
			t.Logf("%s: nft list ruleset:\n%s", h.Name, h.Try(t, "nft", "list", "ruleset").Stdout)
			t.Logf("%s: nftknockd said last:\n%s", h.Name, lastLines(u.Log(), 50))
		}
	})
	return u
}

// startReady starts nftknockd and returns when it guards.
func startReady(t *testing.T, h *lab.Host, config string) *unit {
	t.Helper()
	u := startUnit(t, h, config)
	u.expectNotice(t, "READY=1")
	return u
}

// readNotices reads what comes from a daemon, for as long as the connection is there.
func readNotices(manager *net.UnixConn) chan string {
	const most = 1 << 12 // that nobody asks for
	notices := make(chan string, most)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := manager.Read(b)
			if err != nil {
				return
			}
			notices <- string(b[:n])
		}
	}()
	return notices
}

// expectNotice waits until the daemon tells the service manager something.
func (u *unit) expectNotice(t *testing.T, line string) {
	t.Helper()
	deadline := time.After(lab.Timeout)
	for {
		select {
		case state := <-u.notices:
			if lab.HasLine(state, line) {
				return
			}
		case <-u.Done:
			t.Fatalf("nftknockd has ended instead of saying %s: %v\n%s", line, u.Cmd.ProcessState, lastLines(u.Log(), 20))
		case <-deadline:
			t.Fatalf("nftknockd has not said %s for %v", line, lab.Timeout)
		}
	}
}

// sighup has the daemon read its configuration again, and returns when it says
// that it is ready again. It calls meanwhile in between.
func (u *unit) sighup(t *testing.T, meanwhile func()) {
	t.Helper()
	if err := u.Cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	u.expectNotice(t, "RELOADING=1")
	u.expectNotice(t, "READY=1")
}

// reload writes a new configuration over the old one, and has the daemon read it.
func (u *unit) reload(t *testing.T, config string) {
	t.Helper()
	u.rewrite(t, config)
	u.sighup(t, func() {})
}

func (u *unit) rewrite(t *testing.T, config string) {
	t.Helper()
	path := u.Cmd.Args[len(u.Cmd.Args)-1]
	if err := os.WriteFile(path, []byte(u.prelude+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// kill kills the daemon, if it has not ended, and looks at what it has said.
func (u *unit) kill(t *testing.T) {
	t.Helper()
	u.Stop(os.Kill)
	for line := range strings.Lines(u.Log()) {
		for _, bad := range []string{"level=ERROR", "panic:", "fatal error:", "DATA RACE"} {
			switch {
			case !strings.Contains(line, bad),
				strings.Contains(line, "reload refused"),
				strings.Contains(line, "msg=degraded") && u.mayBeAmiss:
			default:
				t.Errorf("nftknockd has said: %s", line)
			}
		}
	}
}

// owned says whether the daemon owns its table.
func (u *unit) owned() bool { return strings.Contains(u.Log(), "owned=true") }

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
