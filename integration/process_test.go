package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A process is a program that a host has running in the background.
type process struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
}

// start runs a program until the test ends or stops it. What it prints, on
// either stream, is shown if the test fails.
func (h *host) start(t testing.TB, name string, args ...string) *process {
	t.Helper()
	return h.startCmd(t, command(context.Background(), t, name, args...))
}

func (h *host) startCmd(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.out
	}
	if err := h.in(cmd.Start); err != nil {
		t.Fatalf("%s: starting %v: %v", h.name, cmd.Args, err)
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(os.Kill)
		if t.Failed() {
			t.Logf("%s: %s said:\n%s", h.name, filepath.Base(cmd.Path), p.out.String())
		}
	})
	return p
}

// stop sends a signal and waits for the end. It may be called again. It
// reports false if it took a kill.
func (p *process) stop(sig os.Signal) bool {
	if p.ended() {
		return true
	}
	p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
		return true
	case <-time.After(aWhile):
		p.cmd.Process.Kill()
		<-p.done
		return false
	}
}

// ended reports whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// An output collects what a running program prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
