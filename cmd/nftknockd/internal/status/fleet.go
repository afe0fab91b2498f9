package status

import "time"

// A Fleet is how the grants of a gate are shared, as its companion has last reported.
type Fleet struct {
	Group     string      `json:"group"`
	Gate      string      `json:"gate"`              // this gate's name
	Connected bool        `json:"connected"`         // to NATS, and the bucket can be read
	Server    string      `json:"server,omitempty"`  // that it is connected to
	Lag       float64     `json:"lag_seconds"`       // of the latest decision of another gate: from the bucket to here
	Gates     []FleetGate `json:"gates"`             // others that live, by name
	Reported  time.Time   `json:"reported,omitzero"` // zero: no companion runs
}

// A FleetGate is another gate of the group.
type FleetGate struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen"` // within the last minute
}
