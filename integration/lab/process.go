package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A Process is a program that a host has running in the background.
type Process struct {
	Cmd  *exec.Cmd
	Out  Output
	Done chan struct{} // closed when it has ended
}

// Start runs a program until the test ends or stops it. What it prints, on
// either stream, is shown if the test fails.
func (h *Host) Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	return h.StartCmd(t, Command(context.Background(), t, name, args...))
}

// StartCmd is Start for a command that needs more than arguments.
func (h *Host) StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Done: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = h.env
	}
	h.GiveState(cmd)
	if cmd.Stdout == nil {
		cmd.Stdout = &p.Out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.Out
	}
	if err := h.In(cmd.Start); err != nil {
		t.Fatalf("%s: starting %v: %v", h.Name, cmd.Args, err)
	}
	go func() {
		cmd.Wait()
		close(p.Done)
	}()
	t.Cleanup(func() {
		p.Stop(os.Kill)
		if t.Failed() {
			t.Logf("%s: %s said:\n%s", h.Name, filepath.Base(cmd.Path), p.Out.String())
		}
	})
	return p
}

// Stop sends a signal and waits for the end. It may be called again. It
// reports false if it took a kill.
func (p *Process) Stop(sig os.Signal) bool {
	if p.Ended() {
		return true
	}
	p.Cmd.Process.Signal(sig)
	select {
	case <-p.Done:
		return true
	case <-time.After(Timeout):
		p.Cmd.Process.Kill()
		<-p.Done
		return false
	}
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.Done:
		return true
	default:
		return false
	}
}

// An Output collects what a running program prints.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Memory returns how much memory a process has, in bytes.
func (p *Process) Memory(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var all, resident int // in pages; proc(5)
	if _, err := fmt.Sscan(string(b), &all, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}
