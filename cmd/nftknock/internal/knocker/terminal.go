package knocker

import (
	"fmt"
	"os"
	"time"
)

// When to say what is waited for.
const (
	onTerminal = false // only on a terminal
	always     = true  // to a file or a pipe too: it takes long
)

// showWaiting says on a terminal what is waited for, once that has taken a second, and
// that time passes. Elsewhere it says so at once, in a line, or not at all. The
// function that it returns ends it.
func showWaiting(to *os.File, what string, elsewhere bool) (stop func()) {
	// /dev/null looks like a terminal; it does not mind.
	if info, err := to.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		if elsewhere {
			fmt.Fprintf(to, "nftknock: %s\n", what)
		}
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for shown := false; ; shown = true {
			select {
			case <-tick.C:
				if !shown {
					fmt.Fprint(to, what, " ")
				}
				fmt.Fprint(to, ".")
			case <-done:
				if shown {
					fmt.Fprintln(to)
				}
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
