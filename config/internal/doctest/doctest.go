// Package doctest has what the tests of all that reads TOML check.
package doctest

import (
	"errors"
	"slices"
	"testing"
	"unicode"

	"nftknock/config/internal/doc"
)

// CheckErrors checks that an error is [doc.Errors], a line each, in order.
func CheckErrors(t *testing.T, err error) {
	t.Helper()
	var errs doc.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	for _, p := range errs {
		CheckLine(t, p)
	}
	if !slices.IsSortedFunc(errs, func(a, b doc.Problem) int { return a.Line - b.Line }) {
		t.Errorf("not in the order of the lines:\n%v", err)
	}
}

// CheckLine checks that a problem is a line of text.
func CheckLine(t *testing.T, p doc.Problem) {
	t.Helper()
	line := p.String()
	if p.Text == "" || slices.ContainsFunc([]rune(line), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not a line of text", line)
	}
}
