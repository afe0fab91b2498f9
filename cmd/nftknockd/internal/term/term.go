// Package term tells whether output is for a person at a terminal.
package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether w writes to a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// InColour reports whether to write in colour: to a terminal, unless its user objects
// (https://no-color.org: NO_COLOR is set, and not empty).
func InColour(w io.Writer) bool { return IsTerminal(w) && os.Getenv("NO_COLOR") == "" }
