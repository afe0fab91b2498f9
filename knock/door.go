package knock

import (
	"fmt"
	"math"
	"time"
)

// Forever is an OpenTimeout without end: a grant lasts until it is revoked, by
// the closing sequence or by the administrator.
const Forever = time.Duration(math.MaxInt64)

// MaxSequence is the greatest number of knocks in a sequence. It bounds what
// the tracker has to remember of one source.
const MaxSequence = 32

// Shut is what a door answers to those it does not let in.
type Shut string

const (
	Drop   Shut = "drop"   // nothing
	Reject Shut = "reject" // what a closed port answers: TCP RST, ICMP port unreachable
)

// A Door guards ports and opens to a source that knocks its sequence.
type Door struct {
	Name          string // unique; [a-z][a-z0-9_]{0,15}
	Ports         []Port // what it guards
	Sequence      []Port // the knocks that grant access; 1 to MaxSequence, or none before a code
	CloseSequence []Port // the knocks that revoke it; may be empty
	CodeBase      uint16 // if not 0: after Sequence comes a one-time code, at the CodePorts ports from here on

	SeqTimeout  time.Duration // a whole sequence has to fit in this; at least a second
	OpenTimeout time.Duration // how long a grant lasts; at least a second, or Forever

	Shut       Shut
	IPv4Prefix int // the width of a grant, in bits: 1 to 32; 32 is the source alone
	IPv6Prefix int // likewise: 1 to 128
}

// Action is what a packet brings about.
type Action uint8

const (
	Grant     Action = iota + 1 // Door.Sequence was completed
	Revoke                      // Door.CloseSequence was completed
	CheckCode                   // Door.Sequence and a one-time code were completed: grant if the code is right
	Muted                       // a source touched a decoy, and is ignored from now on
)

func (a Action) String() string {
	switch a {
	case Grant:
		return "grant"
	case Revoke:
		return "revoke"
	case CheckCode:
		return "check code"
	case Muted:
		return "muted"
	}
	return fmt.Sprintf("action %d", uint8(a))
}
