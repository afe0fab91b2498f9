package knockd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/knock"
)

// Sequence returns the knocks of the section's sequence: none without one. An error
// names a knock by its position, never by its port.
//
// As with knockd, a number ends where its digits do ("7000 # first" is 7000), and a comment
// may stand behind the whole. Where knockd would take a port that nobody can knock on (0,
// or what is left of 70000 in 16 bits), this is an error.
func (s *Section) Sequence() ([]knock.Port, error) {
	d, ok := s.Get("sequence")
	if !ok {
		return nil, nil
	}
	value, _, _ := strings.Cut(d.Value, "#")
	words := strings.Split(value, ",")
	if len(words) > knock.MaxSequence {
		return nil, fmt.Errorf("%d knocks: knockd and nftknockd take up to %d", len(words), knock.MaxSequence)
	}
	var sequence []knock.Port
	var errs []error
	for i, word := range words {
		number, proto, named := strings.Cut(word, ":")
		n, err := Number(number)
		p := knock.Port{Number: uint16(n), Proto: knock.TCP}
		if named {
			proto, _, _ = strings.Cut(proto, ":")
			switch strings.ToUpper(strings.TrimFunc(proto, isSpace)) {
			case "TCP":
			case "UDP":
				p.Proto = knock.UDP
			default:
				err = errors.New("no protocol")
			}
		}
		if err != nil || n < 1 || n > 65535 {
			errs = append(errs, fmt.Errorf("knock %d is no port: write 1 to 65535, with :udp for UDP", i+1))
			continue
		}
		sequence = append(sequence, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return sequence, nil
}

// Number reads a number as knockd does (strtoul(3), atoi(3)): the digits at the beginning,
// after space; what follows is not looked at.
func Number(s string) (uint64, error) {
	s = strings.TrimLeftFunc(s, isSpace)
	s = strings.TrimPrefix(s, "+")
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	return strconv.ParseUint(s[:end], 10, 31)
}
