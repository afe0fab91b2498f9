package knock

import (
	"fmt"
	"math"
	"time"
)

// Forever as an OpenTimeout lets a source in until its closing sequence, or a
// person, puts it out.
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

// A Door guards ports, and opens to a source that knocks its sequence.
type Door struct {
	Name          string // unique; [a-z][a-z0-9_]{0,15}
	Ports         []Port // what it guards
	Sequence      []Port // the knocks that let a source in; 1 to MaxSequence, or none before a code
	CloseSequence []Port // the knocks that put it out again; may be empty
	CodeBase      uint16 // if not 0: after Sequence comes a one-time code, at the CodePorts ports from here on

	SeqTimeout  time.Duration // a whole sequence has to fit in this; at least a second
	OpenTimeout time.Duration // how long a source is let in; at least a second, or Forever

	Shut       Shut
	IPv4Prefix int // how much of the source's address is let in with it, in bits: 1 to 32
	IPv6Prefix int // 1 to 128
}

// Action is what a packet asks for.
type Action uint8

const (
	LetIn     Action = iota + 1 // Door.Sequence was completed
	PutOut                      // Door.CloseSequence was completed
	CheckCode                   // Door.Sequence was completed, and then a one-time code: if it is right, let in
	Muted                       // a decoy was touched by a source that was listened to
)

func (a Action) String() string {
	switch a {
	case LetIn:
		return "let in"
	case PutOut:
		return "put out"
	case CheckCode:
		return "check code"
	case Muted:
		return "muted"
	}
	return fmt.Sprintf("action %d", uint8(a))
}
