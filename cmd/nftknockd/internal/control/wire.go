package control

import "time"

// A Status is what `nftknockd status` shows. Its JSON is stable: CONTROL.md lists the
// fields; new ones may come.
type Status struct {
	Running bool   `json:"running"` // a daemon does; without it only what the kernel knows is there
	Table   string `json:"table"`   // its name, in family inet
	Exists  bool   `json:"exists"`  // the table does: without it nothing is guarded
	Owned   bool   `json:"owned"`   // by a process, so that nobody else can change the table

	Daemon *Daemon  `json:"daemon,omitempty"`
	Doors  []Door   `json:"doors"`  // in the order of the configuration, if a daemon runs
	People []Person `json:"people"` // by door and source
}

// A Daemon is how the daemon itself is.
type Daemon struct {
	Started      time.Time `json:"started"`
	Uptime       float64   `json:"uptime_seconds"`
	Amiss        string    `json:"amiss,omitempty"`   // what the kernel does not hold, and why
	InProgress   int       `json:"in_progress"`       // attempts that have begun and not succeeded
	Limit        int       `json:"in_progress_limit"` // beyond which the oldest are forgotten
	Muted        int       `json:"muted"`             // sources that are not listened to, or were not lately
	Decoys       []string  `json:"decoys"`            // "7000", "8000:udp"; a secret
	MessagesLost uint64    `json:"messages_lost"`     // of the kernel's packet log
}

// A Door is a door with the packets that came to its ports, other than of connections that
// are up, since the table was installed or last changed.
type Door struct {
	Name  string   `json:"name"`
	Ports []string `json:"ports"` // "22", "51820:udp"
	LetIn uint64   `json:"let_in_packets"`
	Shut  uint64   `json:"shut_packets"` // from sources that no door of the port lets in
}

// A Person is a source that is let in.
type Person struct {
	Door   string    `json:"door"`
	Source string    `json:"source"`         // an address, or a prefix
	By     string    `json:"by"`             // ByKnock, ByHand, or what else the set's element has for a comment
	Since  time.Time `json:"since,omitzero"` // zero: not known
	Until  time.Time `json:"until,omitzero"` // zero: until closed
}

// A Request is the body of open and close.
type Request struct {
	Door   string `json:"door"`
	Source string `json:"source,omitempty"` // an address or a prefix
	For    string `json:"for,omitempty"`    // of open: a duration as open_timeout has it; empty: the door's
	All    bool   `json:"all,omitempty"`    // of close: instead of a source
}

// A Result says who was let in or put out.
type Result struct {
	Door    string    `json:"door"`
	Sources []string  `json:"sources"`
	Until   time.Time `json:"until,omitzero"` // of open; zero: until closed
}

// An Error is why a request was not fulfilled.
type Error struct {
	Code int    `json:"-"`     // of HTTP
	Text string `json:"error"` // may be several lines: the problems of a configuration
}

func (e *Error) Error() string { return e.Text }
