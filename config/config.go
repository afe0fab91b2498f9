// Package config reads the configuration of nftknockd: TOML goes in, validated
// doors and settings come out.
//
//	file ──→ toml ──→ sections and values ──→ checks across doors ──→ Config
//	                        │                        │
//	                        └──────── Errors ────────┘
//
// All that is wrong with a file is reported at once, each with its line, door and
// key, and with what would be right. What is allowed but unwise is told by
// [Config.Warnings].
//
// Errors and warnings end up in logs, so neither ever shows a sequence: a knock is
// named by its position, and by its port only where a door guards that port.
package config

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// A Problem is something in a configuration that is wrong, or unwise.
type Problem = doc.Problem

// Errors is all that is wrong with a file, in the order of its lines.
type Errors = doc.Errors

// A Secret is text that must not get into a log or an error.
type Secret = doc.Secret

// DefaultFile is the configuration of the daemon that comes with the system.
const DefaultFile = "/etc/nftknock/nftknockd.toml"

// A Config is a valid configuration.
type Config struct {
	Interfaces  []string       // guard what arrives here; empty: everywhere but on loopback
	AlwaysAllow []netip.Prefix // sources that need not knock: masked, sorted, none within another
	Table       string         // the inet table the daemon owns; default "nftknock"
	NFLogGroup  uint16         // where knocks are logged to, 1 to 65535; default 7022
	OwnTable    OwnTable       // default Auto
	OnStop      OnStop         // default Keep
	LogFormat   LogFormat      // default Text
	Limits      Limits
	Scan        Scan
	Metrics     Metrics
	Doors       []knock.Door   // in the order of the file
	OTP         map[string]OTP // of the doors that take one-time codes (their CodeBase is not 0), by name
	SPA         SPA
	Fleet       *Fleet // nil: none
	Hooks       []Hook // in the order of the file

	read *snapshot // all that Load has read, for Snapshot

	// For the warnings:
	file  string
	mode  fs.FileMode // of the file; zero: not known
	nodes map[place]doc.Node
}

// A place is where in a file a value stands.
type place struct{ door, key string }

// OwnTable is whether the table is kept from everybody else's hands while the
// daemon runs.
type OwnTable string

const (
	Auto OwnTable = "auto" // where the kernel can: Linux 6.9 or newer
	No   OwnTable = "no"   // never: what others do to the table is undone
)

// OnStop is what becomes of the table when the daemon stops.
type OnStop string

const (
	Keep   OnStop = "keep"   // it stays, and with it the doors stay shut
	Remove OnStop = "remove" // it goes, and what the doors guarded is open to all
)

// LogFormat is how the daemon writes its log.
type LogFormat string

const (
	Text LogFormat = "text" // key=value
	JSON LogFormat = "json" // an object a line
)

// Metrics is where metrics are shown, other than on the control socket.
type Metrics struct {
	Listen netip.AddrPort // zero: nowhere
}

// Limits bound what the daemon may use.
type Limits struct {
	// Sources is how many sources with an unfinished sequence are remembered at
	// once: 1 to 16777216, default 262144.
	Sources int

	// PerSource is how many knocks a second of one source are listened to, after
	// as many at once: 1 to 10000, default 50.
	PerSource int
}

// Ranges and defaults that are not those of a type.
const (
	maxSources        = 1 << 24
	maxPerSource      = 10000
	defaultSeqTimeout = 15 * time.Second
	maxSeqTimeout     = time.Hour
	maxOpenTimeout    = 365 * 24 * time.Hour
)

// The keys of the file, in the order of the reference.
var (
	topKeys = []string{
		"interfaces", "always_allow", "table", "nflog_group", "own_table", "on_stop", "log_format",
		"limits", "scan", "metrics", "spa", "fleet", "hook", "door",
	}
	limitsKeys  = []string{"sources", "per_source"}
	scanKeys    = []string{"decoys", "mute", "decoy_seed"}
	metricsKeys = []string{"listen"}
	doorKeys    = []string{
		"ports", "sequence", "close_sequence", "otp_secret_file", "otp_base", "spa_keys", "spa_any_source",
		"seq_timeout", "open_timeout", "shut", "ipv4_prefix", "ipv6_prefix",
	}
)

// Parse reads a configuration. The name is the file's in messages, and the files
// that it names are in the same folder; but they are not read. An error is of
// type [Errors].
func Parse(name string, data []byte) (*Config, error) {
	return parse(name, data, nil)
}

// A secretReader returns what is in a file that holds a secret. Of one that is not there
// its error says how to come by it.
type secretReader func(path, makes string) (Secret, error)

// parse reads the files of secrets too, unless there is nothing to read them with.
func parse(name string, data []byte, secrets secretReader) (*Config, error) {
	r := &reader{
		Document: &doc.Document{File: name, Elsewhere: elsewhere},
		secrets:  secrets,
		keyFiles: make(map[string]string),
	}
	c := r.config(r.Open(data))
	if err := r.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// A reader reads a configuration.
type reader struct {
	*doc.Document
	secrets  secretReader      // nil: the files that hold secrets are not read
	keyFiles map[string]string // of single packet authorization, by people's names
}

// config reads the whole file.
func (r *reader) config(root *doc.Section) *Config {
	c := &Config{
		Table:      "nftknock",
		NFLogGroup: 7022,
		OwnTable:   Auto,
		OnStop:     Keep,
		LogFormat:  Text,
		Limits:     Limits{Sources: 262144, PerSource: 50},
		file:       r.File,
		nodes:      make(map[place]doc.Node),
	}
	root.RefuseUnknown(topKeys)
	if n, ok := root.Keys["interfaces"]; ok {
		c.nodes[place{"", "interfaces"}] = n
	}
	doc.Read(root, "interfaces", &c.Interfaces, interfaces)
	doc.Read(root, "always_allow", &c.AlwaysAllow, prefixes)
	doc.Read(root, "table", &c.Table, tableName)
	doc.Read(root, "nflog_group", &c.NFLogGroup, nflogGroup)
	doc.Read(root, "own_table", &c.OwnTable, doc.OneOf(Auto, No))
	doc.Read(root, "on_stop", &c.OnStop, doc.OneOf(Keep, Remove))
	doc.Read(root, "log_format", &c.LogFormat, doc.OneOf(Text, JSON))

	if limits := root.Subsection("limits"); limits != nil {
		limits.RefuseUnknown(limitsKeys)
		doc.Read(limits, "sources", &c.Limits.Sources, doc.Number(1, maxSources))
		doc.Read(limits, "per_source", &c.Limits.PerSource, doc.Number(1, maxPerSource))
	}

	c.Scan = readScan(root)
	if metrics := root.Subsection("metrics"); metrics != nil {
		metrics.RefuseUnknown(metricsKeys)
		doc.Read(metrics, "listen", &c.Metrics.Listen, addrPort)
	}

	c.SPA = readSPA(root)
	doors := r.doors(root)
	c.Fleet = r.fleet(root, doors)
	c.Hooks = r.hooks(root, doors)
	for _, door := range doors {
		c.Doors = append(c.Doors, door.Door)
		c.nodes[place{door.Name, ""}] = door.Node
		for _, key := range []string{"ports", "sequence", "close_sequence", "open_timeout"} {
			if n, ok := door.Keys[key]; ok {
				c.nodes[place{door.Name, key}] = n
			}
		}
		if door.CodeBase != 0 {
			if c.OTP == nil {
				c.OTP = make(map[string]OTP)
			}
			c.OTP[door.Name] = door.otp
			c.nodes[place{door.Name, "otp_base"}] = door.Keys["otp_base"]
		}
		if len(door.spa.Keys) > 0 {
			if c.SPA.Doors == nil {
				c.SPA.Doors = make(map[string]SPADoor)
			}
			c.SPA.Doors[door.Name] = door.spa
		}
	}
	if root.Has("spa") || c.SPA.Doors != nil {
		checkPacketPort(c.SPA.Port, doors)
	}
	return c
}

// doors reads the doors, in the order of the file, and checks them against each other.
func (r *reader) doors(root *doc.Section) []*door {
	before := r.Problems()
	var doors []*door
	for _, s := range root.Named("door", "a door is a table with a name, such as [door.ssh]") {
		doors = append(doors, r.door(s))
	}
	sound := r.Problems() == before
	checkGuards(doors)
	checkCodePorts(doors)
	if sound {
		// The engine relies on doors that are valid.
		checkConflicts(doors)
	}
	return doors
}

// elsewhere says where a key of the configuration belongs. TOML has no way back to the
// top level: what follows [door.ssh] is in it.
func elsewhere(s *doc.Section, key string) string {
	switch {
	case s.Owner != "" && key == "timeout": // in a door
		return `did you mean "seq_timeout" or "open_timeout"?`
	case slices.Contains(topKeys, key):
		return "it belongs at the top of the file, above the first [table]"
	case slices.Contains(limitsKeys, key):
		return "it belongs in [limits]"
	case slices.Contains(scanKeys, key):
		return "it belongs in [scan]"
	case slices.Contains(metricsKeys, key):
		return "it belongs in [metrics]"
	case slices.Contains(spaKeys, key):
		return "it belongs in [spa]"
	case slices.Contains(fleetKeys, key) && !slices.Contains(hookKeys, key):
		return "it belongs in [fleet]"
	case slices.Contains(hookKeys, key) && key != "door":
		return "it belongs in a hook, such as [hook.wake]"
	case slices.Contains(doorKeys, key):
		return "it belongs in a door, such as [door.ssh]"
	}
	return ""
}
