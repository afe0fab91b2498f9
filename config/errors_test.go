package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/config/internal/doctest"
)

// errorTests are files that are refused, with the whole of what is said about them.
var errorTests = []struct {
	name, toml, want string
}{
	{
		name: "toml syntax",
		toml: `[door.ssh]
ports = [22
sequence = [1]`,
		want: `f.toml:3: expected a comma (',') or array terminator (']'), but got 's'`,
	},
	{
		name: "toml syntax that shows a sequence",
		toml: `[door.ssh]
ports = [22]
sequence = 2201-3302-1103`,
		want: `f.toml:3: is not a value: text goes in quotes, such as "51820:udp" or "15s"`,
	},
	{
		name: "toml syntax that shows a seed",
		toml: `[scan]
decoy_seed = abcdefghijklmnopqrst`,
		want: `f.toml:2: is not a value: text goes in quotes, such as "51820:udp" or "15s"`,
	},
	{
		name: "a port without quotes",
		toml: `[door.ssh]
ports = [51820:udp]`,
		want: `f.toml:2: is not a value: text goes in quotes, such as "51820:udp" or "15s"`,
	},
	{
		name: "a door twice",
		toml: `[door.ssh]
ports = [22]
[door.ssh]
ports = [23]`,
		want: `f.toml:3: Key 'door.ssh' has already been defined.`,
	},
	{
		name: "keys of other tables",
		toml: `[doors.ssh]
ports = [22]
[door.ssh]
port = 22
timeout = "15s"
sequence = [7000, 9000, 8000]
[spa]
ports = "62201:udp"
[fleet]
url = "nats://10.0.0.5:4222"
key_file = "fleet.key"
group = "bastions"
door = ["ssh"]`,
		want: `f.toml:1: unknown key "doors": did you mean "door"?
f.toml:4: door ssh: unknown key "port": did you mean "ports", a list such as [22]?
f.toml:5: door ssh: unknown key "timeout": did you mean "seq_timeout" or "open_timeout"?
f.toml:8: spa: unknown key "ports": did you mean "port"?
f.toml:13: fleet: unknown key "door": did you mean "doors"?`,
	}, {
		name: "unknown keys",
		toml: `tabel = "knock"
colour = "red"
sources = 3
sequence = [1]
[limits]
source = 3
shut = "drop"
[door.ssh]
ports = [22]
sequnce = [2201, 3302, 1103]
Shut = "drop"
seq-timeout = 3
on_stop = "keep"
[door.ssh.deep]
a = 1
[door.ssh."a\nb"]`,
		want: `f.toml:1: unknown key "tabel": did you mean "table"?
f.toml:2: unknown key "colour": possible here: interfaces, always_allow, table, nflog_group, own_table, on_stop, log_format, limits, scan, metrics, spa, fleet, hook, door
f.toml:3: unknown key "sources": it belongs in [limits]
f.toml:4: unknown key "sequence": it belongs in a door, such as [door.ssh]
f.toml:6: limits: unknown key "source": did you mean "sources"?
f.toml:7: limits: unknown key "shut": it belongs in a door, such as [door.ssh]
f.toml:8: door ssh: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]
f.toml:10: door ssh: unknown key "sequnce": did you mean "sequence"?
f.toml:11: door ssh: unknown key "Shut": did you mean "shut"?
f.toml:12: door ssh: unknown key "seq-timeout": did you mean "seq_timeout"?
f.toml:13: door ssh: unknown key "on_stop": it belongs at the top of the file, above the first [table]
f.toml:14: door ssh: unknown key "deep": possible here: ports, sequence, close_sequence, otp_secret_file, otp_base, spa_keys, spa_any_source, seq_timeout, open_timeout, shut, ipv4_prefix, ipv6_prefix
f.toml:16: door ssh: unknown key "a\nb": possible here: ports, sequence, close_sequence, otp_secret_file, otp_base, spa_keys, spa_any_source, seq_timeout, open_timeout, shut, ipv4_prefix, ipv6_prefix`,
	},
	{
		name: "wrong types at the top",
		toml: `interfaces = "eth0"
always_allow = { a = 1 }
table = 3
nflog_group = "7022"
on_stop = true
limits = 3`,
		want: `f.toml:1: interfaces: found a string: write a list, such as ["eth0"]
f.toml:2: always_allow: found a table: write a list, such as ["192.0.2.0/24", "2001:db8::1"]
f.toml:3: table: found a whole number: write a string, such as "nftknock"
f.toml:4: nflog_group: found a string: write a whole number from 1 to 65535
f.toml:5: on_stop: found a boolean: write "keep" or "remove"
f.toml:6: limits: found a whole number: write a table: [limits]`,
	},
	{
		name: "wrong types within lists",
		toml: `interfaces = ["eth0", 1]
always_allow = ["192.0.2.1", 192.0]
[door.ssh]
ports = [22, true, [23]]
sequence = [1.5, 3302, "x"]`,
		want: `f.toml:1: interfaces: found a whole number: write the name of an interface, such as "eth0"
f.toml:2: always_allow: found a number with a fraction: write a string, such as "192.0.2.0/24"
f.toml:4: door ssh: ports: found a boolean: write a port, such as 22 or "51820:udp"
f.toml:4: door ssh: ports: found a list: write a port, such as 22 or "51820:udp"
f.toml:5: door ssh: sequence: knock 1 is not a port: write a number from 1 to 65535, or "PORT:udp"
f.toml:5: door ssh: sequence: knock 3 is not a port: write a number from 1 to 65535, or "PORT:udp"`,
	},
	{
		name: "wrong types in a door",
		toml: `[door.ssh]
ports = 22
sequence = "2201,3302,1103"
close_sequence = { a = 1 }
seq_timeout = 1.5
open_timeout = [1]
shut = false
ipv4_prefix = "32"
ipv6_prefix = 2026-01-01`,
		want: `f.toml:2: door ssh: ports: found a whole number: write a list, such as [22, "51820:udp"]
f.toml:3: door ssh: sequence: found a string: write a list, such as [PORT, "PORT:udp", PORT]
f.toml:4: door ssh: close_sequence: found a table: write a list, such as [PORT, "PORT:udp", PORT]
f.toml:5: door ssh: seq_timeout: found a number with a fraction: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:6: door ssh: open_timeout: found a list: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d, or "forever"
f.toml:7: door ssh: shut: found a boolean: write "drop" or "reject"
f.toml:8: door ssh: ipv4_prefix: found a string: write a whole number from 1 to 32
f.toml:9: door ssh: ipv6_prefix: found a date or time: write a whole number from 1 to 128`,
	},
	{
		name: "metrics and logs",
		toml: `log_format = "xml"
listen = "127.0.0.1:9722"
[metrics]
listen = 9722`,
		want: `f.toml:1: log_format: invalid value "xml": want "text" or "json"
f.toml:2: unknown key "listen": it belongs in [metrics]
f.toml:4: metrics.listen: found a whole number: write an address and a port, such as "127.0.0.1:9722"`,
	},
	{
		name: "a name to listen on",
		toml: `[metrics]
listen = "localhost:9722"`,
		want: `f.toml:2: metrics.listen: invalid value "localhost:9722": want an address and a port, such as "127.0.0.1:9722"`,
	},
	{
		name: "a list of tables for limits",
		toml: `[[limits]]
sources = 3`,
		want: `f.toml:1: limits: found a list of tables: write a table: [limits]`,
	},
	{
		name: "doors that are no tables",
		toml: `door = 3`,
		want: `f.toml:1: door: found a whole number: a door is a table with a name, such as [door.ssh]`,
	},
	{
		name: "a list of doors",
		toml: `[[door]]
ports = [22]`,
		want: `f.toml:1: door: found a list of tables: a door is a table with a name, such as [door.ssh]`,
	},
	{
		name: "a list of doors with a name",
		toml: `[[door.ssh]]
ports = [22]
sequence = [2201, 3302, 1103]
[[door.ssh]]
ports = [23]`,
		want: `f.toml:4: door ssh: found a list of tables: a door is a table with a name, such as [door.ssh]`,
	},
	{
		name: "a door without a name",
		toml: `[door]
ports = [22]
sequence = [2201, 3302, 1103]`,
		want: `f.toml:2: door ports: found a list: a door is a table with a name, such as [door.ssh]
f.toml:3: door sequence: found a list: a door is a table with a name, such as [door.ssh]`,
	},
	{
		name: "a list of tables for ports",
		toml: `[door.ssh]
sequence = [2201, 3302, 1103]
[[door.ssh.ports]]
a = 1`,
		want: `f.toml:3: door ssh: ports: found a list of tables: write a list, such as [22, "51820:udp"]`,
	},
	{
		name: "missing keys",
		toml: `[door.ssh]

[door.web]
ports = [80]`,
		want: `f.toml:1: door ssh: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]
f.toml:3: door web: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]`,
	},
	{
		name: "missing keys of a door made of dotted keys",
		toml: `table = "gate"
door.ssh.shut = "drop"
door.ssh.ports = [22]`,
		want: `f.toml:2: door ssh: sequence: is missing: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]`,
	},
	{
		name: "empty lists",
		toml: `interfaces = []
[door.ssh]
ports = []
sequence = []
close_sequence = []`,
		want: `f.toml:1: interfaces: is empty: leave it out to guard every interface but loopback
f.toml:3: door ssh: ports: is empty: write what the door guards, such as [22, "51820:udp"], or leave it out if it guards nothing and only makes events
f.toml:4: door ssh: sequence: is empty: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]
f.toml:5: door ssh: close_sequence: is empty: leave it out if there is nothing to knock`,
	},
	{
		name: "loopback alone",
		toml: `interfaces = ["lo"]`,
		want: `f.toml:1: interfaces: only "lo" is named, on which nothing arrives from another host: write the interfaces to guard, such as ["eth0"], or leave it out to guard every one but loopback`,
	},
	{
		name: "interfaces",
		toml: `interfaces = ["eth0", "eth*", "ppp+", "", "eth 0", "a/b", "..", "longer_than_15_bytes", "eth0", "a:b", "a\tb", "\"", "ü€", "a\\"]`,
		want: `f.toml:1: interfaces: "eth*": wildcards are not supported: write each interface by its whole name
f.toml:1: interfaces: "ppp+": wildcards are not supported: write each interface by its whole name
f.toml:1: interfaces: "" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: "eth 0" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: "a/b" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: ".." is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: "longer_than_15_bytes" is longer than the 15 bytes that a name can have: write it as "ip link" shows it, not an altname
f.toml:1: interfaces: "eth0" is there twice: write it once
f.toml:1: interfaces: "a:b" is an alias, a label of an address, under which no packet arrives: write "a"
f.toml:1: interfaces: "a\tb" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: "\"" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes
f.toml:1: interfaces: "a\\" is not the name of an interface: write 1 to 15 bytes of printable characters other than space / : \ and quotes`,
	},
	{
		name: "always_allow",
		toml: `always_allow = ["example.com", "192.0.2.1/24", "2001:db8::1/48", "0.0.0.0/0", "::/0", "fe80::1%eth0", "fe80::%eth0/64", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "192.0.2.0/33", ""]`,
		want: `f.toml:1: always_allow: "example.com" is neither an address nor a prefix: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/48
f.toml:1: always_allow: "192.0.2.1/24" is not the beginning of the network: write 192.0.2.0/24, or 192.0.2.1 for the one address
f.toml:1: always_allow: "2001:db8::1/48" is not the beginning of the network: write 2001:db8::/48, or 2001:db8::1 for the one address
f.toml:1: always_allow: "0.0.0.0/0" lets everybody in without a knock: write the networks that are trusted
f.toml:1: always_allow: "::/0" lets everybody in without a knock: write the networks that are trusted
f.toml:1: always_allow: "fe80::1%eth0" has a zone, which packets do not: write it without
f.toml:1: always_allow: "fe80::%eth0/64" has a zone, which packets do not: write it without
f.toml:1: always_allow: "::ffff:192.0.2.1" is IPv4 written as IPv6: write it as IPv4, such as 192.0.2.0/24
f.toml:1: always_allow: "::ffff:192.0.2.0/120" is IPv4 written as IPv6: write it as IPv4, such as 192.0.2.0/24
f.toml:1: always_allow: "192.0.2.0/33" is neither an address nor a prefix: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/48
f.toml:1: always_allow: "" is neither an address nor a prefix: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/48`,
	},
	{
		name: "table",
		toml: `table = "set"`,
		want: `f.toml:1: table: "set" is a word of nft's own, which could not read the table: write another, such as "set_knock"`,
	},
	{
		name: "table name",
		toml: `table = "My table"`,
		want: `f.toml:1: table: invalid value "My table": want a lower-case letter, then up to 30 lower-case letters, digits or _`,
	},
	{
		name: "table name too long",
		toml: `table = "a2345678901234567890123456789012"`,
		want: `f.toml:1: table: invalid value "a2345678901234567890123456789012": want a lower-case letter, then up to 30 lower-case letters, digits or _`,
	},
	{
		name: "numbers out of range",
		toml: `nflog_group = 0
[limits]
sources = 0
[door.ssh]
ports = [22, 0, 65536, -1]
sequence = [2201, 0, 70000, "1103:tpc", "2201,3302,1103"]
ipv4_prefix = 0
ipv6_prefix = 0`,
		want: `f.toml:1: nflog_group: 0 is the kernel's default group, which other programs use: write a whole number from 1 to 65535
f.toml:3: limits.sources: 0 is out of range: write a whole number from 1 to 16777216
f.toml:5: door ssh: ports: 0 is not a port: write a number from 1 to 65535
f.toml:5: door ssh: ports: 65536 is not a port: write a number from 1 to 65535
f.toml:5: door ssh: ports: -1 is not a port: write a number from 1 to 65535
f.toml:6: door ssh: sequence: knock 2 is not a port: write a number from 1 to 65535, or "PORT:udp"
f.toml:6: door ssh: sequence: knock 3 is not a port: write a number from 1 to 65535, or "PORT:udp"
f.toml:6: door ssh: sequence: knock 4 is not a port: write a number from 1 to 65535, or "PORT:udp"
f.toml:6: door ssh: sequence: knock 5 is not a port: write a number from 1 to 65535, or "PORT:udp"
f.toml:7: door ssh: ipv4_prefix: 0 would let everybody in with the first who knocks: write a whole number from 1 to 32
f.toml:8: door ssh: ipv6_prefix: 0 would let everybody in with the first who knocks: write a whole number from 1 to 128`,
	},
	{
		name: "numbers too great",
		toml: `nflog_group = 65536
[limits]
sources = 16777217
per_source = 10001
[door.ssh]
ports = ["22:icmp", "ssh"]
sequence = [2201, 3302, 1103]
ipv4_prefix = 33
ipv6_prefix = 129`,
		want: `f.toml:1: nflog_group: 65536 is out of range: write a whole number from 1 to 65535
f.toml:3: limits.sources: 16777217 is out of range: write a whole number from 1 to 16777216
f.toml:4: limits.per_source: 10001 is out of range: write a whole number from 1 to 10000
f.toml:6: door ssh: ports: "22:icmp": unknown protocol "icmp": tcp and udp are possible
f.toml:6: door ssh: ports: "ssh" is not a port: write a number from 1 to 65535, followed by :udp for UDP
f.toml:8: door ssh: ipv4_prefix: 33 is out of range: write a whole number from 1 to 32
f.toml:9: door ssh: ipv6_prefix: 129 is out of range: write a whole number from 1 to 128`,
	},
	{
		name: "words",
		toml: `on_stop = "stay"
[door.ssh]
ports = [22]
sequence = [2201, 3302, 1103]
shut = "DROP"`,
		want: `f.toml:1: on_stop: invalid value "stay": want "keep" or "remove"
f.toml:5: door ssh: shut: invalid value "DROP": want "drop" or "reject"`,
	},
	{
		name: "durations",
		toml: `[door.a]
ports = [22]
sequence = [2201, 3302, 1103]
seq_timeout = "999ms"
open_timeout = 0
[door.b]
ports = [23]
sequence = [2202, 3303, 1104]
seq_timeout = "2h"
open_timeout = "8761h"
[door.c]
ports = [24]
sequence = [2203, 3304, 1105]
seq_timeout = "forever"
open_timeout = "a minute"
[door.d]
ports = [25]
sequence = [2204, 3305, 1106]
seq_timeout = 9223372036854775807
open_timeout = -5`,
		want: `f.toml:4: door a: seq_timeout: 999ms is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:5: door a: open_timeout: 0 is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d, or "forever"
f.toml:9: door b: seq_timeout: 2h is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:10: door b: open_timeout: 8761h is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d, or "forever"
f.toml:14: door c: seq_timeout: invalid value "forever": want a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:15: door c: open_timeout: invalid value "a minute": want a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d, or "forever"
f.toml:19: door d: seq_timeout: 9223372036854775807 is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 1h
f.toml:20: door d: open_timeout: -5 is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 365d, or "forever"`,
	},
	{
		name: "the same port twice in a door",
		toml: `[door.ssh]
ports = [22, "22:udp", "22:tcp"]
sequence = [2201, 3302, 1103]`,
		want: `f.toml:2: door ssh: ports: port 22 is there twice: write it once`,
	},
	{
		name: "too many knocks",
		toml: `[door.ssh]
ports = [22]
sequence = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,21,23,24,25,26,27,28,29,30,31,32,33,34,35]`,
		want: `f.toml:3: door ssh: sequence: has 33 knocks: write 32 or fewer`,
	},
	{
		name: "door names",
		toml: `[door.SSH]
ports = [22]
sequence = [2201, 3302, 1103]
[door."a b"]
ports = [23]
sequence = [2202, 3303, 1104]
[door.""]
ports = [24]
sequence = [2203, 3304, 1105]
[door."x\ny"]
ports = [25]
sequence = [2204, 3305, 1106]
[door.a2345678901234567]
ports = [26]
sequence = [2205, 3306, 1107]`,
		want: `f.toml:1: door SSH: "SSH" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _
f.toml:4: door "a b": "a b" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _
f.toml:7: "" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _
f.toml:10: door "x\ny": "x\ny" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _
f.toml:13: door a2345678901234567: "a2345678901234567" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _`,
	},
	{
		name: "doors that do not agree",
		toml: `[door.ann]
ports = [22, 80]
sequence = [2201, 3302, 1103]
[door.bob]
ports = [22]
sequence = [2202, 3303, 1104]
shut = "reject"
[door.eve]
ports = [80]
sequence = [2203, 3304, 1105]
shut = "reject"`,
		want: `f.toml:7: door bob: shut: is "reject", but door ann guards port 22 too, and has "drop": write the same in both
f.toml:11: door eve: shut: is "reject", but door ann guards port 80 too, and has "drop": write the same in both`,
	},
	{
		name: "a knock on a guarded port",
		toml: `[door.ssh]
ports = [22, "53:udp"]
sequence = [2201, 8080, 1103, "22:udp"]
[door.web]
ports = [8080]
sequence = [2202, 3303, 1104]
close_sequence = ["53:udp", 3303, 8080]`,
		want: `f.toml:3: door ssh: sequence: knock 2 is on port 8080, which door web guards: knock on a port that no door guards
f.toml:7: door web: close_sequence: knock 1 is on port 53:udp, which door ssh guards: knock on a port that no door guards
f.toml:7: door web: close_sequence: knock 3 is on port 8080, which door web guards: knock on a port that no door guards`,
	},
	{
		name: "conflicts",
		toml: `[door.ann]
ports = [22]
sequence = [2201, 3302, 1103]
close_sequence = [1103, 2201, 3302]
[door.bob]
ports = [22]
sequence = [3302, 1103]`,
		want: `f.toml:3: door ann: sequence: knocking it completes the sequence of door bob as well: change one of them, best to ports that the other does not use
f.toml:4: door ann: close_sequence: it can never be completed, as its knocks begin the door's sequence and go on with it: choose another order, or ports that the sequence does not use`,
	},
	{
		name: "a wrong shut is not compared",
		toml: `[door.ann]
ports = [22]
sequence = [2201, 3302, 1103]
shut = "slam"
[door.bob]
ports = [22]
sequence = [2202, 3303, 1104]
shut = "reject"`,
		want: `f.toml:4: door ann: shut: invalid value "slam": want "drop" or "reject"`,
	},
	{
		name: "a knock on a port that a door without a name guards",
		toml: `[door.""]
ports = [22]
sequence = [2201, 22, 1103]`,
		want: `f.toml:1: "" is not a name for a door, which becomes part of set names: write a lower-case letter, then up to 15 lower-case letters, digits or _
f.toml:3: sequence: knock 2 is on port 22, which door "" guards: knock on a port that no door guards`,
	},
	{
		name: "scan",
		toml: `[scan]
decoys = 1025
mute = "500ms"
decoy_seed = "too short"
decoy_sed = ""
[door.ssh]
ports = [22]
sequence = [2201, 3302, 1103]
mute = 3`,
		want: `f.toml:2: scan.decoys: 1025 is out of range: write a whole number from 0 to 1024
f.toml:3: scan.mute: 500ms is out of range: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 24h
f.toml:4: scan.decoy_seed: is too short: write a string of 16 or more random characters, or leave it out
f.toml:5: scan: unknown key "decoy_sed": did you mean "decoy_seed"?
f.toml:9: door ssh: unknown key "mute": it belongs in [scan]`,
	},
	{
		name: "wrong types in scan",
		toml: `[scan]
decoys = "32"
mute = true
decoy_seed = 1234567890123456`,
		want: `f.toml:2: scan.decoys: found a string: write a whole number from 0 to 1024
f.toml:3: scan.mute: found a boolean: write a duration such as "15s" or "1d", or a whole number of seconds, from 1s to 24h
f.toml:4: scan.decoy_seed: found a whole number: write a string of 16 or more random characters, or leave it out`,
	},
	{
		name: "half of what codes need",
		toml: `[door.ann]
ports = [22]
sequence = [2201, 3302, 1103]
otp_base = 63537
[door.bob]
ports = [22]
otp_secret_file = ""
[door.eve]
ports = [22]
otp_secret_file = 3
otp_base = "40000"`,
		want: `f.toml:1: door ann: otp_secret_file: is missing beside otp_base: write the file that "nftknockd otp new ann" makes
f.toml:4: door ann: otp_base: 63537 is out of range: write a whole number from 1 to 63536
f.toml:5: door bob: otp_base: is missing beside otp_secret_file: write the first of the 2000 ports that carry codes, such as 20000
f.toml:7: door bob: otp_secret_file: is empty: write the name of a file, such as "ssh.otp"
f.toml:10: door eve: otp_secret_file: found a whole number: write the name of a file, such as "ssh.otp"
f.toml:11: door eve: otp_base: found a string: write a whole number from 1 to 63536`,
	},
	{
		name: "ports that carry codes and are used",
		toml: `[door.ann]
ports = [22, 41999, "40000:udp"]
sequence = ["40500:udp", 40500, 1103]
otp_secret_file = "ann.otp"
otp_base = 40000
[door.bob]
ports = [42000]
sequence = [2202, 39999, 1104]
close_sequence = [2202, 41000]
[door.eve]
ports = [23]
sequence = [2203]
otp_secret_file = "eve.otp"
otp_base = 41999
[door.joe]
ports = [23]
sequence = [2204]
otp_secret_file = "joe.otp"
otp_base = 40000`,
		want: `f.toml:3: door ann: sequence: knock 2 is among the ports that carry the codes of door ann, 40000-41999: knock on another port, or change that otp_base
f.toml:3: door ann: sequence: knock 2 is among the ports that carry the codes of door joe, 40000-41999: knock on another port, or change that otp_base
f.toml:5: door ann: otp_base: among its ports, 40000-41999, is 41999, which door ann guards: choose another
f.toml:9: door bob: close_sequence: knock 2 is among the ports that carry the codes of door ann, 40000-41999: knock on another port, or change that otp_base
f.toml:9: door bob: close_sequence: knock 2 is among the ports that carry the codes of door joe, 40000-41999: knock on another port, or change that otp_base
f.toml:14: door eve: otp_base: among its ports, 41999-43998, is 41999, which door ann guards: choose another
f.toml:14: door eve: otp_base: among its ports, 41999-43998, is 42000, which door bob guards: choose another
f.toml:14: door eve: otp_base: its ports, 41999-43998, overlap those of door ann, 40000-41999: write the same in both, or one 2000 or more away
f.toml:19: door joe: otp_base: among its ports, 40000-41999, is 41999, which door ann guards: choose another
f.toml:19: door joe: otp_base: its ports, 40000-41999, overlap those of door eve, 41999-43998: write the same in both, or one 2000 or more away`,
	},
	{
		name: "three mistakes",
		toml: `on_stop = "stay"

[door.ssh]
ports = [22]
sequence = [2201, 3302, 1103]
shut = "slam"

[door.web]
ports = [8080]
sequence = []`,
		want: `f.toml:1: on_stop: invalid value "stay": want "keep" or "remove"
f.toml:6: door ssh: shut: invalid value "slam": want "drop" or "reject"
f.toml:10: door web: sequence: is empty: write the knocks that open the door, such as [PORT, "PORT:udp", PORT]`,
	},
}

func TestErrors(t *testing.T) {
	for _, tt := range errorTests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.toml", []byte(tt.toml))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
			doctest.CheckErrors(t, err)
		})
	}
}

// What is wrong with a sequence can be read in a log, the sequence can not.
func TestErrorsShowNoSequence(t *testing.T) {
	for _, sequence := range []string{
		`"2201,3302,1103"`,
		`["2201,3302,1103"]`,
		`["2201", "3302:tpc", "1103:x"]`,
		`["2201 3302 1103"]`,
		`{ "2201" = "3302" }`,
		`2201,3302,1103`,
		`2201:3302:1103`,
		`2201-3302-1103`,
		`2201.3302.1103`,
		`2201_3302_1103_`,
		`2201_3302_1103_2201_3302_1103`,
		`220133021103220133021103`,
		`+2201_3302_1103_`,
		`x2201,3302,1103`,
		`[2201 3302 1103]`,
		`["2201", "3302", "1103]`,
		`[2201, 3302, 1103, 99999]`,
		`[2201, 3302, 1103, 2201.5]`,
	} {
		_, err := Parse("f.toml", []byte("[door.ssh]\nports = [22]\nsequence = "+sequence))
		if err == nil {
			t.Errorf("%s: no error", sequence)
			continue
		}
		if strings.Contains(err.Error(), "3302") {
			t.Errorf("%s: %v", sequence, err)
		}
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		problem Problem
		want    string
	}{
		{Problem{Text: "text"}, "text"},
		{Problem{Line: 3, Text: "text"}, "text"},
		{Problem{File: "f.toml", Text: "text"}, "f.toml: text"},
		{Problem{File: "f.toml", Line: 3, Key: "table", Text: "text"}, "f.toml:3: table: text"},
		{Problem{File: "f.toml", Line: 3, Door: "ssh", Text: "text"}, "f.toml:3: door ssh: text"},
		{Problem{File: "f.toml", Line: 3, Door: "a\n", Key: "shut", Text: "text"}, `f.toml:3: door "a\n": shut: text`},
	}
	for _, tt := range tests {
		if got := tt.problem.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
