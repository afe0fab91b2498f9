package doc

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nftknock/knock"
)

// The functions of this file make a value out of what the toml package represents it by.

// ExampleKnocks is no sequence that works: it would be copied.
const ExampleKnocks = `such as [PORT, "PORT:udp", PORT]`

// Kind says what sort of TOML value a value is. It does not show the value, which
// may be a secret.
func Kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date or time"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default: // []map[string]any
		return "a list of tables"
	}
}

func WrongKind(v any, right string) error {
	return fmt.Errorf("found %s: write %s", Kind(v), right)
}

// Number returns a reader of whole numbers.
func Number(least, most int64) func(any) (int, error) {
	return func(v any) (int, error) {
		right := fmt.Sprintf("a whole number from %d to %d", least, most)
		n, ok := v.(int64)
		if !ok {
			return 0, WrongKind(v, right)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("%d is out of range: write %s", n, right)
		}
		return int(n), nil
	}
}

// OneOf returns a reader of one of two words.
func OneOf[T ~string](a, b T) func(any) (T, error) {
	return func(v any) (T, error) {
		right := fmt.Sprintf("%q or %q", a, b)
		s, ok := v.(string)
		if !ok {
			return "", WrongKind(v, right)
		}
		if T(s) != a && T(s) != b {
			return "", fmt.Errorf("invalid value %q: want %s", s, right)
		}
		return T(s), nil
	}
}

// Bool reads true or false.
func Bool(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, WrongKind(v, "true or false")
	}
	return b, nil
}

// Duration returns a reader of durations of at least a second: strings such as
// "1m30s", or whole numbers of seconds.
func Duration(most time.Duration, span string, forever bool) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		right := `a duration such as "15s" or "1d", or a whole number of seconds, ` + span
		var d time.Duration
		var written string
		switch v := v.(type) {
		case int64:
			// Beyond the greatest duration the product would be anything.
			d = time.Duration(max(0, min(v, int64(most/time.Second)+1))) * time.Second
			written = fmt.Sprint(v)
		case string:
			if v == "forever" && forever {
				return knock.Forever, nil
			}
			var err error
			if d, err = ParseDuration(v); err != nil {
				return 0, fmt.Errorf("invalid value %q: want %s", v, right)
			}
			written = v
		default:
			return 0, WrongKind(v, right)
		}
		if d < time.Second || d > most {
			return 0, fmt.Errorf("%s is out of range: write %s", written, right)
		}
		return d, nil
	}
}

// ParseDuration reads what [time.ParseDuration] does, with days before it: "1d", "1d12h". A
// day is 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	count, rest, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseUint(count, 10, 16)
	var d time.Duration
	if err == nil && rest != "" {
		d, err = time.ParseDuration(rest)
	}
	if err != nil || d < 0 || d > 24*time.Hour*maxDays {
		return 0, fmt.Errorf("invalid duration %q", s)
	}
	return time.Duration(days)*24*time.Hour + d, nil
}

const maxDays = 1 << 15 // more than a uint16 of them beside, and far from the greatest duration

// List reads a list, each element with parse, which is told the position from 1.
// All that is wrong with the elements is in the error, joined.
func List[T any](v any, right string, parse func(position int, v any) (T, error)) ([]T, error) {
	elements, ok := v.([]any)
	if !ok {
		return nil, WrongKind(v, "a list, "+right)
	}
	values := make([]T, 0, len(elements))
	var errs []error
	for i, e := range elements {
		value, err := parse(i+1, e)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		values = append(values, value)
	}
	return values, errors.Join(errs...)
}

// Port reads a number or the notation of knock(1).
func Port(v any) (knock.Port, error) {
	switch v := v.(type) {
	case int64:
		if v < 1 || v > 65535 {
			return knock.Port{}, fmt.Errorf("%d is not a port: write a number from 1 to 65535", v)
		}
		return knock.Port{Number: uint16(v), Proto: knock.TCP}, nil
	case string:
		return knock.ParsePort(v)
	}
	return knock.Port{}, WrongKind(v, `a port, such as 22 or "51820:udp"`)
}

// Knocks returns a reader of sequences; ifEmpty says what to do about one without
// Knocks, which is allowed where there is nothing to do. Errors tell the position of a knock and not what is written there.
func Knocks(ifEmpty string) func(any) ([]knock.Port, error) {
	return func(v any) ([]knock.Port, error) {
		sequence, err := List(v, ExampleKnocks, func(position int, v any) (knock.Port, error) {
			p, err := Port(v)
			if err != nil {
				err = fmt.Errorf(`knock %d is not a port: write a number from 1 to 65535, or "PORT:udp"`, position)
			}
			return p, err
		})
		switch {
		case err != nil:
			return nil, err
		case len(sequence) == 0 && ifEmpty != "":
			return nil, fmt.Errorf("is empty: %s", ifEmpty)
		case len(sequence) > knock.MaxSequence:
			return nil, fmt.Errorf("has %d knocks: write %d or fewer", len(sequence), knock.MaxSequence)
		}
		return sequence, nil
	}
}

// MaxCodeBase leaves room for all the ports that carry one-time codes.
const MaxCodeBase = 65536 - knock.CodePorts

// CodeBase reads the first of the ports that carry one-time codes.
func CodeBase(v any) (uint16, error) {
	n, err := Number(1, MaxCodeBase)(v)
	return uint16(n), err
}

// FileName reads the name of a file, which is taken from a folder unless it is absolute.
func FileName(folder string, v any, example string) (string, error) {
	file, ok := v.(string)
	switch {
	case !ok:
		return "", WrongKind(v, fmt.Sprintf("the name of a file, such as %q", example))
	case file == "":
		return "", fmt.Errorf("is empty: write the name of a file, such as %q", example)
	case filepath.IsAbs(file):
		return file, nil
	}
	return filepath.Join(folder, file), nil
}
