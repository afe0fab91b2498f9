package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"nftknock/knock"
)

// The functions of this file make a value of the configuration out of what the toml
// package represents it by.

// The example of a sequence is not one that works: it would be copied.
const (
	examplePorts  = `such as [22, "51820:udp"]`
	exampleKnocks = `such as [PORT, "PORT:udp", PORT]`
)

// kind says what sort of TOML value a value is. It does not show the value, which
// may be a secret.
func kind(v any) string {
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

func wrongKind(v any, right string) error {
	return fmt.Errorf("found %s: write %s", kind(v), right)
}

// number returns a reader of whole numbers.
func number(least, most int64) func(any) (int, error) {
	return func(v any) (int, error) {
		right := fmt.Sprintf("a whole number from %d to %d", least, most)
		n, ok := v.(int64)
		if !ok {
			return 0, wrongKind(v, right)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("%d is out of range: write %s", n, right)
		}
		return int(n), nil
	}
}

func nflogGroup(v any) (uint16, error) {
	if v == int64(0) {
		return 0, errors.New("0 is the kernel's default group, which other programs use: write a whole number from 1 to 65535")
	}
	n, err := number(1, 65535)(v)
	return uint16(n), err
}

// addrPort reads where to listen. Names are not resolved.
func addrPort(v any) (netip.AddrPort, error) {
	const right = `an address and a port, such as "127.0.0.1:9722"`
	s, ok := v.(string)
	if !ok {
		return netip.AddrPort{}, wrongKind(v, right)
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is not possible: write %s", s, right)
	}
	return a, nil
}

// prefixLength returns a reader of how many bits of an address count.
func prefixLength(bits int64) func(any) (int, error) {
	return func(v any) (int, error) {
		if v == int64(0) {
			return 0, fmt.Errorf("0 would let everybody in with the first who knocks: write a whole number from 1 to %d", bits)
		}
		return number(1, bits)(v)
	}
}

// oneOf returns a reader of one of two words.
func oneOf[T ~string](a, b T) func(any) (T, error) {
	return func(v any) (T, error) {
		right := fmt.Sprintf("%q or %q", a, b)
		s, ok := v.(string)
		if !ok {
			return "", wrongKind(v, right)
		}
		if T(s) != a && T(s) != b {
			return "", fmt.Errorf("%q is not possible: write %s", s, right)
		}
		return T(s), nil
	}
}

// duration returns a reader of durations of at least a second: strings such as
// "1m30s", or whole numbers of seconds.
func duration(most time.Duration, span string, forever bool) func(any) (time.Duration, error) {
	return func(v any) (time.Duration, error) {
		right := `a duration such as "15s", or a whole number of seconds, ` + span
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
			if d, err = time.ParseDuration(v); err != nil {
				return 0, fmt.Errorf("%q is not possible: write %s", v, right)
			}
			written = v
		default:
			return 0, wrongKind(v, right)
		}
		if d < time.Second || d > most {
			return 0, fmt.Errorf("%s is out of range: write %s", written, right)
		}
		return d, nil
	}
}

// list reads a list, each element with parse, which is told the position from 1.
// All that is wrong with the elements is in the error, joined.
func list[T any](v any, right string, parse func(position int, v any) (T, error)) ([]T, error) {
	elements, ok := v.([]any)
	if !ok {
		return nil, wrongKind(v, "a list, "+right)
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

// port reads a number or the notation of knock(1).
func port(v any) (knock.Port, error) {
	switch v := v.(type) {
	case int64:
		if v < 1 || v > 65535 {
			return knock.Port{}, fmt.Errorf("%d is not a port: write a number from 1 to 65535", v)
		}
		return knock.Port{Number: uint16(v), Proto: knock.TCP}, nil
	case string:
		return knock.ParsePort(v)
	}
	return knock.Port{}, wrongKind(v, `a port, such as 22 or "51820:udp"`)
}

func ports(v any) ([]knock.Port, error) {
	seen := make(map[knock.Port]bool)
	ports, err := list(v, examplePorts, func(_ int, v any) (knock.Port, error) {
		p, err := port(v)
		if err == nil && seen[p] {
			return p, fmt.Errorf("port %v is there twice: write it once", p)
		}
		seen[p] = true
		return p, err
	})
	if err == nil && len(ports) == 0 {
		return nil, fmt.Errorf("is empty: write what the door guards, %s", examplePorts)
	}
	return ports, err
}

// knocks returns a reader of sequences; ifEmpty says what to do about one without
// knocks, which is allowed where there is nothing to do. Errors tell the position of a knock and not what is written there.
func knocks(ifEmpty string) func(any) ([]knock.Port, error) {
	return func(v any) ([]knock.Port, error) {
		sequence, err := list(v, exampleKnocks, func(position int, v any) (knock.Port, error) {
			p, err := port(v)
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

// interfaces reads names of network interfaces, by the rules of the kernel
// (dev_valid_name) and such that they can be quoted in an nft script.
func interfaces(v any) ([]string, error) {
	const right = `such as ["eth0"]`
	seen := make(map[string]bool)
	names, err := list(v, right, func(_ int, v any) (string, error) {
		name, ok := v.(string)
		switch {
		case !ok:
			return "", wrongKind(v, `the name of an interface, such as "eth0"`)
		case strings.Contains(name, "*"):
			return "", fmt.Errorf("%q: wildcards are not supported: write each interface by its whole name", name)
		case name == "" || len(name) > 15 || name == "." || name == ".." || slices.ContainsFunc([]rune(name), notInName):
			return "", fmt.Errorf("%q is not the name of an interface: "+
				"write 1 to 15 bytes of printable characters other than space / : \\ and quotes", name)
		case seen[name]:
			return "", fmt.Errorf("%q is there twice: write it once", name)
		}
		seen[name] = true
		return name, nil
	})
	if err == nil && len(names) == 0 {
		return nil, errors.New("is empty: leave it out to guard every interface but loopback")
	}
	return names, err
}

func notInName(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(` /:\"`, r) }
