package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/control"
)

// hooks runs a program for events.
type hooks struct {
	atOnce  int
	timeout time.Duration

	args           []string // the program's path first
	stdout, stderr io.Writer

	slots   chan struct{} // as many as may run at once
	running sync.WaitGroup
}

func (h *hooks) prepare(args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("--exec: %w", err)
	}
	h.args = append([]string{path}, args[1:]...)
	h.slots = make(chan struct{}, h.atOnce)
	return nil
}

// run starts the program for an event. It waits until that may be.
func (h *hooks) run(ctx context.Context, e control.Event) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	h.running.Go(func() {
		defer func() { <-h.slots }()
		if err := h.execute(e); err != nil {
			fmt.Fprintf(h.stderr, "nftknockd: %s: %v (%s)\n", h.args[0], err, eventLine(e))
		}
	})
}

// wait waits for the programs that run.
func (h *hooks) wait() { h.running.Wait() }

func (h *hooks) execute(e control.Event) error {
	stdin, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.args[0], h.args[1:]...)
	cmd.Stdin = bytes.NewReader(append(stdin, '\n'))
	cmd.Stdout, cmd.Stderr = h.stdout, h.stderr
	cmd.Env = append(os.Environ(), environment(e)...)
	// With what it has started in turn; but a daemon that it leaves behind has left its group.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // for whoever else has its output open
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("killed: it took longer than %v", h.timeout)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended well, and left something behind
		return nil
	}
	return err
}

// environment returns the event as variables. Those that have no value are empty, so that none is
// inherited.
func environment(e control.Event) []string {
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	count := ""
	if e.Count > 0 {
		count = strconv.FormatUint(e.Count, 10)
	}
	return []string{
		"NFTKNOCK_KIND=" + string(e.Kind), "NFTKNOCK_TIME=" + moment(e.Time), "NFTKNOCK_DOOR=" + e.Door,
		"NFTKNOCK_SOURCE=" + e.Source, "NFTKNOCK_BY=" + e.By, "NFTKNOCK_UNTIL=" + moment(e.Until),
		"NFTKNOCK_COUNT=" + count, "NFTKNOCK_TEXT=" + e.Text,
	}
}
