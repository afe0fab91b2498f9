package status

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Fleet is how the grants of a gate are shared, as its companion has last reported.
type Fleet struct {
	Group     string      `json:"group"`
	Gate      string      `json:"gate"`              // this gate's name
	Connected bool        `json:"connected"`         // to NATS, and the bucket can be read
	Server    string      `json:"server,omitempty"`  // that it is connected to
	Error     string      `json:"error,omitempty"`   // why it is not connected
	Lag       float64     `json:"lag_seconds"`       // of the latest decision of another gate: from the bucket to here
	Gates     []FleetGate `json:"gates"`             // others that live, by name
	Reported  time.Time   `json:"reported,omitzero"` // zero: no companion runs
}

// A FleetGate is another gate of the group.
type FleetGate struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen"` // within the last minute
}

// maxText is how much of a companion's words is shown.
const maxText = 200

// Printable returns what is fit to be shown: a companion that lies may say anything.
func (f Fleet) Printable() Fleet {
	f.Gate, f.Server, f.Error = printable(f.Gate), printable(f.Server), printable(f.Error)
	f.Gates = slices.Clone(f.Gates)
	for i := range f.Gates {
		f.Gates[i].Name = printable(f.Gates[i].Name)
	}
	return f
}

func printable(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
}
