package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// inColour says whether to write in colour: on a terminal whose user has nothing against
// it (https://no-color.org: NO_COLOR is set, and not empty).
func inColour(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }
