package status

import (
	"time"

	"nftknock/cmd/nftknockd/internal/event"
)

// A Trace is what the gate knows of a source: whether it is in, and what it last saw of it.
// Its JSON is stable: CONTROL.md lists the fields; new ones may come.
type Trace struct {
	Source  string    `json:"source"`
	Started time.Time `json:"started"` // when the daemon did, which knows nothing from before

	AlwaysAllowed string    `json:"always_allowed,omitempty"` // the prefix of always_allow that has the source
	Grants        []Grant   `json:"grants"`
	MutedUntil    time.Time `json:"muted_until,omitzero"` // zero: it is not muted

	UnderWay []event.Event `json:"under_way"` // attempts that have not run out of time, the furthest first
	Failed   []event.Event `json:"failed"`    // how attempts ended, the latest first
	Events   []event.Event `json:"events"`    // the latest of each kind that are about the source, the latest first

	// For a source of which nothing was seen.
	Heard      uint64    `json:"heard"`                // packets at knock ports and decoys, from everybody, since the daemon started
	LastHeard  time.Time `json:"last_heard,omitzero"`  // when the latest came; zero: none has
	Interfaces []string  `json:"interfaces,omitempty"` // that are guarded; empty: all but loopback
	Warnings   []string  `json:"warnings,omitempty"`   // about those
	Degraded   string    `json:"degraded,omitempty"`   // as in the status
}

// A Way is what lets a source in to a port.
type Way struct {
	Source string    `json:"source"`         // an address, or a prefix
	Door   string    `json:"door,omitempty"` // empty: it is in always_allow
	Until  time.Time `json:"until,omitzero"` // zero: until revoked, or of always_allow
}
