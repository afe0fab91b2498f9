package status

import (
	"strings"
	"testing"
)

// A companion that lies cannot write to the terminal of who asks for the status.
func TestFleetPrintable(t *testing.T) {
	said := Fleet{Gate: "a\x1b[2Jb", Server: "\xff", Error: strings.Repeat("x", 1000), Gates: []FleetGate{{Name: "g\n"}}}
	got := said.Printable()
	if got.Gate != "a?[2Jb" || got.Server != "?" || len(got.Error) != maxText || got.Gates[0].Name != "g?" {
		t.Errorf("%+v", got)
	}
}
