package knockd

import (
	"errors"
	"fmt"
	"strings"

	"nftknock/knock"
)

// Sequence returns the knocks of the section's sequence: none without one. An error
// names a knock by its position, never by its port.
//
// Where knockd guesses (atoi(3): "70x0" is 70, "" is 0), this is an error.
func (s *Section) Sequence() ([]knock.Port, error) {
	d, ok := s.Get("sequence")
	if !ok {
		return nil, nil
	}
	words := strings.Split(d.Value, ",")
	if len(words) > knock.MaxSequence {
		return nil, fmt.Errorf("%d knocks: knockd and nftknockd take up to %d", len(words), knock.MaxSequence)
	}
	var sequence []knock.Port
	var errs []error
	for i, word := range words {
		number, proto, named := strings.Cut(word, ":")
		port := strings.TrimFunc(number, isSpace)
		if named {
			port += ":" + strings.TrimFunc(proto, isSpace)
		}
		p, err := knock.ParsePort(port)
		if err != nil {
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
