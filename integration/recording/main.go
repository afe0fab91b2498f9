// Command recording runs a program and draws what it prints, when it prints it, as an animated SVG: the
// picture of make demo at the top of the README.
//
//	recording -o FILE.svg PROGRAM [ARGUMENT]...
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	out := flag.String("o", "recording.svg", "write the picture to this `file`")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: recording -o FILE.svg PROGRAM [ARGUMENT]...")
		os.Exit(2)
	}
	if err := record(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

// record runs a program, and writes the picture of it.
func record(file string, args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	args[0] = filepath.Base(args[0])
	shown := []line{{text: "$ " + strings.Join(args, " ")}}
	for printed := bufio.NewScanner(stdout); printed.Scan(); {
		shown = append(shown, line{time.Since(start), printed.Text()})
	}
	if err := cmd.Wait(); err != nil { // what failed is no picture for the README
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return os.WriteFile(file, []byte(draw(shortened(shown))), 0o644)
}

// A line is what was printed, and how long after the start.
type line struct {
	at   time.Duration
	text string
}

// mostRows is how long a listing may be before its rest is left out.
const mostRows = 1

// shortened leaves out the greater part of a listing: its rows begin where "table" stands, and end with a brace.
func shortened(lines []line) []line {
	var out []line
	rows := 0 // of the listing, so far
	for _, l := range lines {
		if rows == 0 && !strings.HasPrefix(l.text, "table ") {
			out = append(out, l)
			continue
		}
		rows++
		switch {
		case l.text == "}":
			out = append(out, line{l.at, fmt.Sprintf("\t⋮  %d lines more", rows-mostRows-1)}, l)
			rows = 0
		case rows <= mostRows:
			out = append(out, l)
		}
	}
	return out
}
