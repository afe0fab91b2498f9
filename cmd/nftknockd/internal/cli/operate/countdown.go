package operate

import (
	"fmt"
	"io"
	"sync"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/term"
	"nftknock/config"
	"nftknock/knock"
)

// betweenLines is the time between two lines, where there is no terminal to write over the
// last one.
const betweenLines = 30 * time.Second

// A countdown shows how long a trial goes on: on a terminal in one line that is written
// over, otherwise in a line now and then. What is written to it, a log, goes in between.
type countdown struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	last time.Duration // shown last
	open bool          // a line of the countdown has no end yet
}

func newCountdown(w io.Writer) *countdown { return &countdown{w: w, terminal: term.IsTerminal(w)} }

func (c *countdown) Begin(cfg *config.Config, length time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range cfg.Doors {
		fmt.Fprintf(c.w, "door %s guards %s\n", d.Name, knock.PortList(d.Ports))
	}
	fmt.Fprintf(c.w, `The doors are shut, on trial. Knock within %v, then make a NEW connection: what is up stays up.
A knock and a connection keep them so; otherwise it is undone, also by Ctrl-C, a hangup, or a kill.
`, length)
	c.last = length
}

func (c *countdown) Left(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d = d.Round(time.Second)
	switch {
	case c.terminal:
		fmt.Fprintf(c.w, "\r%-20s", fmt.Sprintf("%d:%02d left", int(d.Minutes()), int(d.Seconds())%60))
		c.open = true
	case c.last-d >= betweenLines:
		fmt.Fprintf(c.w, "%v left\n", d)
		c.last = d
	}
}

func (c *countdown) Knocked(e event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
	fmt.Fprintf(c.w, "%s was let in through door %s: now make a new connection\n", e.Source, e.Door)
}

// end ends the line that is being written over.
func (c *countdown) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
}

func (c *countdown) endLine() {
	if c.open {
		fmt.Fprintln(c.w)
		c.open = false
	}
}

func (c *countdown) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLine()
	return c.w.Write(line)
}
