// Package hooks runs programs for events. What it passes on to them is checked: field by
// field, since a hook may well be a script of root's.
package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
)

// A Runner runs a program for events.
type Runner struct {
	AtOnce         int           // how many may run at a time
	Timeout        time.Duration // after which a program is killed
	Stdout, Stderr io.Writer

	args []string // the program's path first

	slots   chan struct{} // as many as may run at a time
	running sync.WaitGroup
}

// Prepare finds the program, the first of args.
func (h *Runner) Prepare(args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("--exec: %w", err)
	}
	h.args = append([]string{path}, args[1:]...)
	h.slots = make(chan struct{}, h.AtOnce)
	return nil
}

// Run starts the program for an event, as soon as fewer than AtOnce run. An event that is
// not fit to be passed on is reported, and no program started.
func (h *Runner) Run(ctx context.Context, e event.Event) {
	e, err := checked(e)
	if err != nil {
		fmt.Fprintf(h.Stderr, "nftknockd: no program is run: %v\n", err)
		return
	}
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	h.running.Go(func() {
		defer func() { <-h.slots }()
		if err := h.execute(e); err != nil {
			fmt.Fprintf(h.Stderr, "nftknockd: %s: %v (%s)\n", h.args[0], err, e.Line())
		}
	})
}

// Wait waits for the programs that run.
func (h *Runner) Wait() { h.running.Wait() }

func (h *Runner) execute(e event.Event) error {
	stdin, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.args[0], h.args[1:]...)
	cmd.Stdin = bytes.NewReader(append(stdin, '\n'))
	cmd.Stdout, cmd.Stderr = h.Stdout, h.Stderr
	cmd.Env = append(os.Environ(), environment(e)...)
	// The program's own children die with it; a daemon that it leaves behind has left its group.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // for whoever else has its output open
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("killed: it took longer than %v", h.Timeout)
	case errors.Is(err, exec.ErrWaitDelay): // the program has ended well, and left something behind
		return nil
	}
	return err
}

// environment returns the event as variables. Those without a value are empty, so that none
// is inherited.
func environment(e event.Event) []string {
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
		"NFTKNOCK_SOURCE=" + e.Source, "NFTKNOCK_BY=" + e.By, "NFTKNOCK_KEY=" + e.Key, "NFTKNOCK_UNTIL=" + moment(e.Until),
		"NFTKNOCK_COUNT=" + count, "NFTKNOCK_TEXT=" + e.Text,
	}
}

var (
	doorForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,15}$`) // as in the configuration
	byForm   = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)
	keyForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`) // as of spa_keys
	zoneForm = regexp.MustCompile(`^[A-Za-z0-9._-]{0,15}$`)             // a plain interface's name, or none
)

// checked returns the event with no field that a script could trip over: each has the form
// that CONTROL.md gives it. The text, which is written for people and may quote what others
// have written, loses all but letters, digits and a little punctuation.
func checked(e event.Event) (event.Event, error) {
	switch {
	case !slices.Contains(event.Kinds, e.Kind):
		return e, fmt.Errorf("event of an unknown kind %q", e.Kind)
	case e.Door != "" && !doorForm.MatchString(e.Door):
		return e, fmt.Errorf("%s event with an invalid door %q", e.Kind, e.Door)
	case e.Source != "" && !isSource(e.Source):
		return e, fmt.Errorf("%s event with an invalid source %q", e.Kind, e.Source)
	case e.By != "" && !byForm.MatchString(e.By):
		return e, fmt.Errorf("%s event with an invalid origin %q", e.Kind, e.By)
	case e.Key != "" && !keyForm.MatchString(e.Key):
		return e, fmt.Errorf("%s event with an invalid key %q", e.Kind, e.Key)
	}
	for _, door := range e.Doors {
		if !doorForm.MatchString(door) {
			return e, fmt.Errorf("%s event with an invalid door %q", e.Kind, door)
		}
	}
	e.Text = plain(e.Text)
	return e, nil
}

func isSource(s string) bool {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String() == s
	}
	a, err := netip.ParseAddr(s)
	return err == nil && zoneForm.MatchString(a.Zone()) && a.String() == s
}

// plain replaces what is not plain text, and cuts off what is too long.
func plain(s string) string {
	const longest = 500
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(" .,:;/()_+-", r):
			return r
		case r == '\n':
			return ' '
		}
		return '?'
	}, s)
	return s[:min(len(s), longest)]
}
