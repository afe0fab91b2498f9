package event

import (
	"strings"
	"time"
)

// Kind is what has happened.
type Kind string

const (
	LetIn         Kind = "let_in"
	PutOut        Kind = "put_out"
	Expired       Kind = "expired" // derived, by a Hub that is watched
	Refused       Kind = "refused" // an attempt, at a door
	Scan          Kind = "scan"    // a source has touched what nobody has a reason to touch
	Reloaded      Kind = "reloaded"
	ReloadRefused Kind = "reload_refused"
	Amiss         Kind = "amiss"  // the kernel does not hold what was decided
	Mended        Kind = "mended" // it does again
	Lost          Kind = "lost"   // messages of the kernel's packet log
	Missed        Kind = "missed" // events, by a watcher who was too slow
)

// Kinds are all kinds there are.
var Kinds = []Kind{LetIn, PutOut, Expired, Refused, Scan, Reloaded, ReloadRefused, Amiss, Mended, Lost, Missed}

// String returns the kind in words.
func (k Kind) String() string { return strings.ReplaceAll(string(k), "_", " ") }

// An Event is something that has happened. Fields that its kind has no use for are
// empty. It never tells what was knocked.
type Event struct {
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Door   string    `json:"door,omitempty"`
	Source string    `json:"source,omitempty"` // an address, or a prefix
	By     string    `json:"by,omitempty"`     // what let in or put out: ByKnock or ByHand
	Until  time.Time `json:"until,omitzero"`   // of let_in; zero: until closed. Of scan: when the source is listened to again
	Doors  []string  `json:"doors,omitempty"`  // of reloaded: those there are now
	Count  uint64    `json:"count,omitempty"`  // of lost, since the daemon began; of missed, since the last one
	Text   string    `json:"text,omitempty"`   // why; may be several lines
}

// What lets in and puts out.
const (
	ByKnock = "knock"
	ByHand  = "hand"
)
