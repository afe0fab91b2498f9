package lab

import (
	"encoding/json"
	"testing"
	"time"
)

// Ask runs a command of nftknockd that talks to the daemon.
func (d *Daemon) Ask(t testing.TB, command string, args ...string) Result {
	t.Helper()
	return d.Host.Try(t, Nftknockd, append([]string{command, "--socket", d.Socket}, args...)...)
}

// Tell is Ask for what has to succeed.
func (d *Daemon) Tell(t testing.TB, command string, args ...string) string {
	t.Helper()
	r := d.Ask(t, command, args...)
	if r.Err != nil {
		t.Fatalf("nftknockd %s %v: %v\n%s", command, args, r.Err, r.Stderr)
	}
	return r.Stdout
}

// A Status is what scripts rely on of `nftknockd status --json`.
type Status struct {
	Running bool
	Table   string
	Exists  bool
	Daemon  *struct {
		File         string
		InProgress   int               `json:"in_progress"`
		MessagesLost uint64            `json:"messages_lost"`
		SPARefused   map[string]uint64 `json:"spa_refused"`
		Fleet        *struct {
			Connected bool
			Error     string
		}
	}
	Doors []struct {
		Name    string
		Ports   []string
		Granted uint64 `json:"granted_connections"`
		Shut    uint64 `json:"shut_packets"`
	}
	Grants []struct {
		Door, Source, By, Key string
		Since, Until          time.Time
	}
}

// Status asks the daemon for its status.
func (d *Daemon) Status(t testing.TB, args ...string) Status {
	t.Helper()
	var s Status
	if err := json.Unmarshal([]byte(d.Tell(t, "status", append(args, "--json")...)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
