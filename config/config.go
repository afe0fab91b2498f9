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
	"cmp"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"time"

	"nftknock/knock"
)

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

	// For the warnings:
	file  string
	mode  fs.FileMode // of the file; zero: not known
	nodes map[place]node
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
	maxSources     = 1 << 24
	maxPerSource   = 10000
	maxSeqTimeout  = time.Hour
	maxOpenTimeout = 365 * 24 * time.Hour
)

// The keys of the file, in the order of the reference.
var (
	topKeys = []string{
		"interfaces", "always_allow", "table", "nflog_group", "own_table", "on_stop", "log_format",
		"limits", "scan", "metrics", "door",
	}
	limitsKeys  = []string{"sources", "per_source"}
	scanKeys    = []string{"decoys", "mute", "decoy_seed"}
	metricsKeys = []string{"listen"}
	doorKeys    = []string{
		"ports", "sequence", "close_sequence", "otp_secret_file", "otp_base", "seq_timeout", "open_timeout", "shut",
		"ipv4_prefix", "ipv6_prefix",
	}
)

// Parse reads a configuration. The name is the file's in messages, and the files
// that it names are in the same folder; but they are not read. An error is of
// type [Errors].
func Parse(name string, data []byte) (*Config, error) {
	return parse(name, data, nil)
}

// parse reads the files of secrets too, with readSecret unless that is nil.
func parse(name string, data []byte, readSecret secretReader) (*Config, error) {
	d := &document{file: name, readSecret: readSecret}
	root := d.open(data)
	c := d.config(root)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, d.problems
	}
	return c, nil
}

// config reads the whole file.
func (d *document) config(root *section) *Config {
	c := &Config{
		Table:      "nftknock",
		NFLogGroup: 7022,
		OwnTable:   Auto,
		OnStop:     Keep,
		LogFormat:  Text,
		Limits:     Limits{Sources: 262144, PerSource: 50},
		file:       d.file,
		nodes:      make(map[place]node),
	}
	root.refuseUnknown(topKeys)
	read(root, "interfaces", &c.Interfaces, interfaces)
	read(root, "always_allow", &c.AlwaysAllow, prefixes)
	read(root, "table", &c.Table, tableName)
	read(root, "nflog_group", &c.NFLogGroup, nflogGroup)
	read(root, "own_table", &c.OwnTable, oneOf(Auto, No))
	read(root, "on_stop", &c.OnStop, oneOf(Keep, Remove))
	read(root, "log_format", &c.LogFormat, oneOf(Text, JSON))

	if limits := root.subsection("limits"); limits != nil {
		limits.refuseUnknown(limitsKeys)
		read(limits, "sources", &c.Limits.Sources, number(1, maxSources))
		read(limits, "per_source", &c.Limits.PerSource, number(1, maxPerSource))
	}

	c.Scan = d.scan(root)
	if metrics := root.subsection("metrics"); metrics != nil {
		metrics.refuseUnknown(metricsKeys)
		read(metrics, "listen", &c.Metrics.Listen, addrPort)
	}

	doors := d.doors(root)
	for _, door := range doors {
		c.Doors = append(c.Doors, door.Door)
		for key := range sequences(&door.Door) {
			c.nodes[place{door.Name, key}] = door.keys[key]
		}
		if door.CodeBase != 0 {
			if c.OTP == nil {
				c.OTP = make(map[string]OTP)
			}
			c.OTP[door.Name] = door.otp
			c.nodes[place{door.Name, "otp_base"}] = door.keys["otp_base"]
		}
	}
	return c
}

// doors reads the doors, in the order of the file, and checks them against each other.
func (d *document) doors(root *section) []*door {
	tables, ok := root.keys["door"]
	if !ok {
		return nil
	}
	const right = "a door is a table with a name, such as [door.ssh]"
	named, ok := tables.table()
	if !ok {
		root.fail("door", "found %s: %s", kind(tables.value()), right)
		return nil
	}
	before := len(d.problems)
	var doors []*door
	for _, name := range slices.SortedFunc(maps.Keys(named), d.inFileOrder("door")) {
		keys, ok := named[name].table()
		if !ok {
			d.report(named[name].line(), name, "", "found %s: %s", kind(named[name].value()), right)
			continue
		}
		s := &section{doc: d, node: named[name], keys: keys, door: name}
		doors = append(doors, readDoor(s))
	}
	sound := len(d.problems) == before
	checkGuards(doors)
	checkCodePorts(doors)
	if sound {
		// The engine relies on doors that are valid.
		checkConflicts(doors)
	}
	return doors
}
