package demo

import (
	"context"
	"fmt"
	"io"
	"unicode/utf8"
)

// play does the steps one after the other, a line each, until one fails. It
// returns how many it did, and how many it had to skip.
func play(ctx context.Context, w io.Writer, scenes []scene) (done, skipped int, err error) {
	marks := marksFor(w)
	width := columnOf(scenes)
	line := func(mark, tried, seen string) {
		fmt.Fprintf(w, "  %s %-*s  %s\n", mark, width, tried, seen)
	}
	for _, scene := range scenes {
		fmt.Fprintf(w, "\n  %s\n", scene.title)
		for _, step := range scene.steps {
			if step.skipped != "" {
				line(marks.skipped, step.tries, "skipped: "+step.skipped)
				skipped++
				continue
			}
			seen, err := step.do(ctx)
			if ctx.Err() != nil {
				return done, skipped, context.Cause(ctx)
			}
			if err != nil {
				line(marks.failed, step.tries, err.Error())
				return done, skipped, fmt.Errorf("%s: %s: %w", scene.title, step.tries, err)
			}
			line(marks.done, step.tries, seen)
			done++
		}
	}
	return done, skipped, nil
}

// columnOf returns how wide the column of what is tried has to be. A long
// sequence does not push everything else to the right.
func columnOf(scenes []scene) int {
	const widest = 50
	width := 0
	for _, scene := range scenes {
		for _, step := range scene.steps {
			if n := utf8.RuneCountInString(step.tries); n <= widest {
				width = max(width, n)
			}
		}
	}
	return width
}

// marks begin a line, and say how it went.
type marks struct{ done, failed, skipped string }

// marksFor returns marks, in colour where that is wanted.
func marksFor(w io.Writer) marks {
	if !inColour(w) {
		return marks{"✓", "✗", "–"}
	}
	const green, red, plain = "\x1b[32m", "\x1b[31m", "\x1b[0m"
	return marks{green + "✓" + plain, red + "✗" + plain, "–"}
}
