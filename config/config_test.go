package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

func tcp(number uint16) knock.Port { return knock.Port{Number: number, Proto: knock.TCP} }
func udp(number uint16) knock.Port { return knock.Port{Number: number, Proto: knock.UDP} }

// defaultDoor returns a door that says no more than it has to.
func defaultDoor(name string) knock.Door {
	return knock.Door{
		Name:        name,
		Ports:       []knock.Port{tcp(22)},
		Sequence:    []knock.Port{tcp(2201), tcp(3302), tcp(1103)},
		SeqTimeout:  15 * time.Second,
		OpenTimeout: time.Minute,
		Shut:        knock.Drop,
		IPv4Prefix:  32,
		IPv6Prefix:  128,
	}
}

func mustParse(t *testing.T, toml string) *Config {
	t.Helper()
	c, err := Parse("f.toml", []byte(toml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var defaultSPA = SPA{Port: udp(62201), MaxAge: 2 * time.Minute}

var exported = cmp.Options{
	cmpopts.IgnoreUnexported(Config{}),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

func TestParse(t *testing.T) {
	got := mustParse(t, `
interfaces   = ["eth0", "wg-home.7"]
always_allow = ["2001:db8::/48", "192.0.2.0/24", "198.51.100.7"]
table        = "gate_2"
nflog_group  = 65535
own_table    = "no"
on_stop      = "remove"
log_format   = "json"
limits       = { sources = 1, per_source = 10000 }
scan         = { decoys = 1024, mute = "24h", decoy_seed = "0123456789abcdef" }

[door.web]
ports          = [80, "443:TCP", "443:udp"]
sequence       = [2201, "3302:udp", "2201", "1103:tcp"]
close_sequence = ["3302:udp", 1103, 2201]
seq_timeout    = "1500ms"
open_timeout   = "forever"
shut           = "reject"
ipv4_prefix    = 24
ipv6_prefix    = 64

[metrics]
listen = "[::1]:9722"

[door.ssh_1]
ports        = [22]
sequence     = [2202]
seq_timeout  = 3600
open_timeout = 31_536_000
`)
	want := &Config{
		Interfaces: []string{"eth0", "wg-home.7"},
		AlwaysAllow: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"),
			netip.MustParsePrefix("198.51.100.7/32"),
			netip.MustParsePrefix("2001:db8::/48"),
		},
		Table:      "gate_2",
		NFLogGroup: 65535,
		OwnTable:   No,
		OnStop:     Remove,
		LogFormat:  JSON,
		SPA:        defaultSPA,
		Metrics:    Metrics{netip.MustParseAddrPort("[::1]:9722")},
		Limits:     Limits{Sources: 1, PerSource: 10000},
		Scan:       Scan{Decoys: 1024, Mute: 24 * time.Hour, Seed: "0123456789abcdef"},
		Doors: []knock.Door{{
			Name:          "web",
			Ports:         []knock.Port{tcp(80), tcp(443), udp(443)},
			Sequence:      []knock.Port{tcp(2201), udp(3302), tcp(2201), tcp(1103)},
			CloseSequence: []knock.Port{udp(3302), tcp(1103), tcp(2201)},
			SeqTimeout:    1500 * time.Millisecond,
			OpenTimeout:   knock.Forever,
			Shut:          knock.Reject,
			IPv4Prefix:    24,
			IPv6Prefix:    64,
		}, {
			Name:        "ssh_1",
			Ports:       []knock.Port{tcp(22)},
			Sequence:    []knock.Port{tcp(2202)},
			SeqTimeout:  time.Hour,
			OpenTimeout: 365 * 24 * time.Hour,
			Shut:        knock.Drop,
			IPv4Prefix:  32,
			IPv6Prefix:  128,
		}},
	}
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	want := &Config{
		Table: "nftknock", NFLogGroup: 7022, OwnTable: Auto, OnStop: Keep, LogFormat: Text, SPA: defaultSPA,
		Limits: Limits{Sources: 262144, PerSource: 50},
		Scan:   Scan{Decoys: 32, Mute: time.Minute},
	}
	if diff := cmp.Diff(want, mustParse(t, ""), exported); diff != "" {
		t.Error(diff)
	}
	want.Doors = []knock.Door{defaultDoor("ssh")}
	got := mustParse(t, "[limits]\n[scan]\n[door.ssh]\nports = [22]\nsequence = [2201, 3302, 1103]\n")
	if diff := cmp.Diff(want, got, exported); diff != "" {
		t.Error(diff)
	}
}

// doorForms are the ways in which TOML can write the same doors.
var doorForms = []struct{ name, toml string }{
	{"tables", "[door.b]\nports=[22]\nsequence=[2201,3302,1103]\n[door.a]\nports=[22]\nsequence=[2202,3303,1104]"},
	{"tables in a table", "[door]\n[door.b]\nports=[22]\nsequence=[2201,3302,1103]\n[door.a]\nports=[22]\nsequence=[2202,3303,1104]"},
	{"quoted", "['door'.\"b\"]\nports=[22]\nsequence=[2201,3302,1103]\n[door.\"\\u0061\"]\nports=[22]\nsequence=[2202,3303,1104]"},
	{"dotted keys", "door.b.ports=[22]\ndoor.a.ports=[22]\ndoor.a.sequence=[2202,3303,1104]\ndoor.b.sequence=[2201,3302,1103]"},
	{"dotted in a table", "[door]\nb.ports=[22]\na.ports=[22]\na.sequence=[2202,3303,1104]\nb.sequence=[2201,3302,1103]"},
	{"inline", "door={b={ports=[22],sequence=[2201,3302,1103]},a={ports=[22],sequence=[2202,3303,1104]}}"},
	{"inline with dots", "door={b.ports=[22],a.ports=[22],a.sequence=[2202,3303,1104],b.sequence=[2201,3302,1103]}"},
	{"inline in a table", "[door]\nb={ports=[22],sequence=[2201,3302,1103]}\na={ports=[22],sequence=[2202,3303,1104]}"},
	{"windows", "\ufeff[door.b]\r\nports=[22]\r\nsequence=[2201,3302,1103]\r\n[door.a]\r\nports=[22]\r\nsequence=[2202,3303,1104]"},
}

func TestDoorForms(t *testing.T) {
	a, b := defaultDoor("a"), defaultDoor("b")
	a.Sequence = []knock.Port{tcp(2202), tcp(3303), tcp(1104)}
	want := []knock.Door{b, a}
	for _, tt := range doorForms {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(want, mustParse(t, tt.toml).Doors); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Prefixes come out such that an interval set of the kernel takes them.
func TestAlwaysAllow(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want []string
	}{
		{"none", ``, nil},
		{"sorted", `"2001:db8::/48", "198.51.100.0/24", "192.0.2.0/24"`, []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/48"}},
		{"twice", `"192.0.2.1", "192.0.2.1/32"`, []string{"192.0.2.1/32"}},
		{"within", `"10.2.3.4", "10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/24", "11.0.0.0/8"`, []string{"10.0.0.0/8", "11.0.0.0/8"}},
		{"within, IPv6", `"2001:db8:0:1::/64", "2001:db8::/32", "2001:db8::1"`, []string{"2001:db8::/32"}},
		{"neighbours", `"192.0.2.128/25", "192.0.2.0/25"`, []string{"192.0.2.0/25", "192.0.2.128/25"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustParse(t, "always_allow = ["+tt.in+"]")
			var got []string
			for _, p := range c.AlwaysAllow {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseTooLarge(t *testing.T) {
	_, err := Parse("f.toml", []byte(strings.Repeat("#", doc.MaxSize+1)))
	const want = "f.toml: is larger than 1 MiB, the most that is read: is it the right file?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	mustParse(t, strings.Repeat("#", doc.MaxSize))
}
