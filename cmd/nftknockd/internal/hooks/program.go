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
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
)

// A program is what is run for an event.
type program struct {
	args           []string // its path first
	env            []string // besides that of the process and of the event
	timeout        time.Duration
	stdout, stderr io.Writer
}

// run runs the program for an event, which has been checked, and returns when it has ended.
func (p program) run(e event.Event) error {
	stdin, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Stdin = bytes.NewReader(append(stdin, '\n'))
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.Env = append(append(os.Environ(), environment(e)...), p.env...)
	// The program's own children die with it; a daemon that it leaves behind has left its group.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	killed := false
	cmd.Cancel = func() error {
		killed = true
		return unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	cmd.WaitDelay = time.Second // for whoever else has its output open
	err = cmd.Run()
	switch {
	case killed:
		return fmt.Errorf("killed: it took longer than %v", p.timeout)
	case errors.Is(err, exec.ErrWaitDelay): // the program has ended well, and left something behind
		return nil
	}
	return err
}
