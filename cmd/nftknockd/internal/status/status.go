// Package status is what the daemon, or without one the kernel, says of itself: as a whole,
// and of one source. Its JSON is what the control socket speaks.
package status

import (
	"errors"
	"slices"
	"time"

	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
	"nftknock/nft"
)

// A Status is what `nftknockd status` shows. Its JSON is stable: CONTROL.md lists the
// fields; new ones may come.
type Status struct {
	Running bool   `json:"running"` // a daemon runs; without one only what the kernel knows is there
	Table   string `json:"table"`   // its name, in family inet
	Exists  bool   `json:"exists"`  // the table does: without it nothing is guarded
	Owned   bool   `json:"owned"`   // by a process, so that nobody else can change the table

	Daemon *Daemon `json:"daemon,omitempty"`
	Doors  []Door  `json:"doors"`  // in the order of the configuration, if a daemon runs
	Grants []Grant `json:"grants"` // by door and source
}

// A Daemon is the daemon's own part of the status.
type Daemon struct {
	Started      time.Time `json:"started"`
	Uptime       float64   `json:"uptime_seconds"`
	Degraded     string    `json:"degraded,omitempty"`   // what the kernel does not hold, and why
	TrialUntil   time.Time `json:"trial_until,omitzero"` // when the trial that is under way ends; zero: none is
	File         string    `json:"file"`                 // the configuration's
	LastGood     bool      `json:"last_good"`            // the last good configuration is in force, not the file's
	InProgress   int       `json:"in_progress"`          // attempts that have begun and not succeeded
	Limit        int       `json:"in_progress_limit"`    // beyond which the oldest are forgotten
	Muted        int       `json:"muted"`                // sources that are not listened to
	Decoys       []string  `json:"decoys,omitempty"`     // "7000", "8000:udp"; a secret
	Interfaces   []string  `json:"interfaces"`           // that are guarded; empty: every one but loopback
	Warnings     []string  `json:"warnings,omitempty"`   // why what is guarded may be nothing
	MessagesLost uint64    `json:"messages_lost"`        // of the kernel's packet log

	MutedSources []MutedSource `json:"muted_sources"` // those, at most MaxMuted: the latest

	Fleet *Fleet `json:"fleet,omitempty"` // there is none: nothing is shared

	// SPARefused counts packets of single packet authorization that have opened nothing, by
	// reason. It is empty if no door takes any.
	SPARefused map[string]uint64 `json:"spa_refused,omitempty"`
}

// A MutedSource is who is not listened to.
type MutedSource struct {
	Source string    `json:"source"` // an address, or a prefix
	Until  time.Time `json:"until"`
}

// MaxMuted is how many muted sources a status names.
const MaxMuted = 1000

// A Door counts what came to a door's ports, other than of connections
// that are up.
type Door struct {
	Name    string   `json:"name"`
	Ports   []string `json:"ports"`               // "22", "51820:udp"
	Granted uint64   `json:"granted_connections"` // and flows of datagrams, begun by sources that the door lets in
	Shut    uint64   `json:"shut_packets"`        // from sources that no door of the port lets in
}

// A Grant is a source that is let in.
type Grant struct {
	Door   string    `json:"door"`
	Source string    `json:"source"`         // an address, or a prefix
	By     string    `json:"by"`             // an Origin, or what else the set's element has for a comment
	Key    string    `json:"key,omitempty"`  // of spa: whose
	Since  time.Time `json:"since,omitzero"` // zero: not known
	Until  time.Time `json:"until,omitzero"` // zero: until revoked
}

// Kernel returns what the kernel knows of a table, without a daemon.
func Kernel(table string) (*Status, error) {
	snapshot, err := nft.Inspect(table)
	return Of(table, snapshot, err)
}

// Of returns what a snapshot of a table says, or the error that there is none.
func Of(table string, s *nft.Snapshot, err error) (*Status, error) {
	status := &Status{Table: table, Doors: []Door{}, Grants: []Grant{}}
	switch {
	case errors.Is(err, nft.ErrNoTable):
		return status, nil
	case err != nil:
		return nil, err
	}
	status.Exists, status.Owned = true, s.Owned
	for _, name := range s.Doors {
		status.Doors = append(status.Doors, DoorOf(s, name))
	}
	now := time.Now()
	for _, p := range s.Grants {
		g := grant.Of(p, now)
		status.Grants = append(status.Grants, Grant{
			Door: g.Door, Source: g.Source(), By: string(g.Origin), Key: g.Key, Since: p.Since, Until: g.Until,
		})
	}
	return status, nil
}

// DoorOf sums up the ports that a door guards.
func DoorOf(s *nft.Snapshot, name string) Door {
	d := Door{Name: name, Ports: []string{}, Granted: s.Granted[name]}
	for _, guard := range s.Guards {
		if slices.Contains(guard.Doors, name) {
			d.Ports = append(d.Ports, guard.Port.String())
			d.Shut += guard.Shut
		}
	}
	return d
}

// InOrder returns the configured doors, with what is known of them.
func InOrder(configured []knock.Door, known []Door) []Door {
	doors := make([]Door, len(configured))
	for i, d := range configured {
		doors[i] = Door{Name: d.Name}
		if k := slices.IndexFunc(known, func(k Door) bool { return k.Name == d.Name }); k >= 0 {
			doors[i] = known[k]
		}
		doors[i].Ports = knock.PortNames(d.Ports)
	}
	return doors
}
