package bench

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"
)

// A span is a time as the tables show it: three digits, in the unit that suits.
type span time.Duration

// never is how long those wait who do not get in.
const never = span(math.MaxInt64)

func (s span) String() string {
	switch n := float64(s); {
	case s == never:
		return "–"
	case n < 1e3:
		return digits(n) + " ns"
	case n < 1e6:
		return digits(n/1e3) + " µs"
	case n < 1e9:
		return digits(n/1e6) + " ms"
	default:
		return digits(n/1e9) + " s"
	}
}

// A rate is per second.
type rate float64

func (r rate) String() string { return count(r).String() + "/s" }

// A ratio is how many times as much as something else.
type ratio float64

func (r ratio) String() string { return digits(float64(r)) + " times" }

// A share is a part of a whole, in percent.
type share float64

func (s share) String() string { return digits(float64(s)) + " %" }

type megabytes float64

func (m megabytes) String() string { return digits(float64(m)) + " MB" }

// A count is a number of things, with its thousands set apart.
type count int

func (c count) String() string {
	s := strconv.Itoa(int(c))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// digits shows a number with up to three digits, and more only before the point.
func digits(n float64) string {
	behind := 2
	for m := n; m >= 10 && behind > 0; m /= 10 {
		behind--
	}
	scale := math.Pow10(behind)
	return strconv.FormatFloat(math.Round(n*scale)/scale, 'f', -1, 64)
}

// medianOf returns the one in the middle.
func medianOf[T cmp.Ordered](all []T) T { return slices.Sorted(slices.Values(all))[len(all)/2] }
