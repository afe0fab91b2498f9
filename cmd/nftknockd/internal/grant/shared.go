package grant

import (
	"regexp"
	"time"
)

// A Shared is what another gate of a fleet has decided.
type Shared struct {
	Door    string
	Source  string // as [ParseSource] reads it
	Gate    string // whose decision it is
	Revoked bool
	Left    time.Duration // of a grant; may be knock.Forever
}

var gateForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`) // a host's name

// IsGate reports whether a name may be that of a gate.
func IsGate(name string) bool { return gateForm.MatchString(name) }
