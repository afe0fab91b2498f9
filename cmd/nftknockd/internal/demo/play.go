package demo

import (
	"context"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"nftknock/cmd/nftknockd/internal/term"
)

// play does the steps one after the other, a line each, until one fails. It
// returns how many it did, and how many it had to skip.
func play(ctx context.Context, w io.Writer, scenarios []scenario) (done, skipped int, err error) {
	marks := marksFor(w)
	width := columnOf(scenarios)
	line := func(mark, tried, seen string) {
		fmt.Fprintf(w, "  %s %-*s  %s\n", mark, width, tried, seen)
	}
	for _, scenario := range scenarios {
		fmt.Fprintf(w, "\n  %s\n", scenario.title)
		for _, step := range scenario.steps {
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
				return done, skipped, fmt.Errorf("%s: %s: %w", scenario.title, step.tries, err)
			}
			line(marks.done, step.tries, seen)
			done++
		}
	}
	return done, skipped, nil
}

// columnOf returns how wide the column of what is tried has to be. A long
// sequence does not push everything else to the right.
func columnOf(scenarios []scenario) int {
	const widest = 50
	width := 0
	for _, scenario := range scenarios {
		for _, step := range scenario.steps {
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
	if !term.InColour(w) {
		return marks{"✓", "✗", "–"}
	}
	const green, red, plain = "\x1b[32m", "\x1b[31m", "\x1b[0m"
	return marks{green + "✓" + plain, red + "✗" + plain, "–"}
}

// poll waits until ready says yes. It is for what takes the kernel a moment.
func poll(ctx context.Context, otherwise string, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		if yes, err := ready(); yes || err != nil {
			return err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", otherwise, err)
		}
	}
}

// pause waits for d, or until ctx ends and returns its error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// brief writes a duration for people.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f ms", float64(d)/1e6)
}
