package nft

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/knock"
)

// An interval is one element, and takes the place of those within it.
func TestWide(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	table := open(t, spec(d))
	list := func(set string) string { return nftCommand(t, "", "list", "set", "inet", "nftknock", set) }
	for _, from := range []string{"198.51.100.0/24", "198.51.100.0/24", "198.51.101.0/24", "255.0.0.0/8", "2001:db8::/32", "198.51.100.7"} {
		grant(t, table, "ssh", from, time.Hour, "admin")
	}
	if got := list("ssh_wide4"); strings.Count(got, "198.51.100.0/24") != 1 || strings.Count(got, "timeout 1h") != 3 {
		t.Error(got)
	}
	if got := list("ssh_wide6"); !strings.Contains(got, "2001:db8::/32 timeout 1h") {
		t.Error(got)
	}
	grant(t, table, "ssh", "198.51.0.0/16", 2*time.Hour, "admin")
	want := []string{"198.51.0.0/16", "198.51.100.7/32", "2001:db8::/32", "255.0.0.0/8"}
	check := func(want []string) {
		t.Helper()
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(timesLeft(t, table)))); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
	}
	check(want)
	narrow := Grant{Door: "ssh", Source: netip.MustParsePrefix("198.51.100.0/24"), Left: time.Hour}
	if others, err := table.Overlapping(narrow); err != nil || len(others) != 1 || others[0].Source.String() != "198.51.0.0/16" {
		t.Errorf("overlapping: %v, %v", others, err)
	}
	if err := table.Grant(narrow); err == nil {
		t.Error("a prefix within another is granted")
	}
	if err := table.Revoke(narrow); err != nil {
		t.Errorf("revoking what is not granted: %v", err)
	}
	check(want)
	for _, own := range []bool{false, true} { // a restart
		again, err := Open(NewRuleset(spec(d)), own)
		if err != nil {
			t.Fatal(err)
		}
		table.Close()
		table = again
		check(want)
	}
	revoke(t, table, "ssh", "255.0.0.0/8")
	check([]string{"198.51.0.0/16", "198.51.100.7/32", "2001:db8::/32"})
	table.Close()
}

// Whatever prefixes come and go, the kernel holds those that it should.
func TestWidePrefixesComeAndGo(t *testing.T) {
	inNetNS(t)
	table := open(t, spec(door("ssh", tcp(22))))
	random := rand.New(rand.NewPCG(1, 2))
	want := make(map[netip.Prefix]bool)
	for step := range 2000 {
		bits := 24 + random.IntN(8)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))}), bits).Masked()
		g := Grant{Door: "ssh", Source: p, Left: time.Hour, By: "admin"}
		if step%3 == 0 {
			if err := table.Revoke(g); err != nil {
				t.Fatalf("step %d: revoke %v: %v", step, p, err)
			}
			delete(want, p)
		} else {
			others, err := table.Overlapping(g)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(others, func(o Grant) bool { return o.Source.Bits() < bits }) {
				continue
			}
			if step%5 == 0 {
				g.Left = 2 * time.Millisecond // is over, and still in the kernel, when the next one comes
			}
			if err := table.Grant(g); err != nil {
				t.Fatalf("step %d: grant %v: %v", step, p, err)
			}
			maps.DeleteFunc(want, func(q netip.Prefix, _ bool) bool { return q.Overlaps(p) })
			if want[p] = true; step%5 == 0 {
				delete(want, p)
				for isGranted := true; isGranted; {
					_, isGranted = timesLeft(t, table)[p.String()]
				}
			}
		}
		grants, err := table.Grants()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[netip.Prefix]bool)
		for _, g := range grants {
			got[g.Source] = true
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Fatalf("step %d: grants (-want +got):\n%s", step, diff)
		}
	}
}

// When the prefix of a door changes, its grants stay: in the set that they belong to now.
func TestGrantsAreRefitted(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	d.IPv4Prefix = 24
	table := open(t, spec(d))
	for _, g := range []struct {
		from string
		left time.Duration
	}{{"198.51.100.7", time.Hour}, {"198.51.101.7", 3 * time.Hour}, {"203.0.0.0/20", knock.Forever}, {"10.0.0.0/8", 2 * time.Hour}} {
		grant(t, table, "ssh", g.from, g.left, "knock")
	}
	check := func(bits int, want map[string]time.Duration) {
		t.Helper()
		d.IPv4Prefix = bits
		if err := table.Replace(NewRuleset(spec(d))); err != nil {
			t.Fatal(err)
		}
		got := timesLeft(t, table)
		for source, left := range got {
			if left != knock.Forever {
				got[source] = left.Round(time.Hour)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("grants of a door with /%d (-want +got):\n%s", bits, diff)
		}
	}
	check(32, map[string]time.Duration{"198.51.100.0/24": time.Hour, "198.51.101.0/24": 3 * time.Hour, "203.0.0.0/20": knock.Forever, "10.0.0.0/8": 2 * time.Hour})
	check(16, map[string]time.Duration{"198.51.0.0/16": 3 * time.Hour, "203.0.0.0/16": knock.Forever, "10.0.0.0/8": 2 * time.Hour})
	grant(t, table, "ssh", "198.51.1.1", 4*time.Hour, "knock")
	check(24, map[string]time.Duration{"198.51.0.0/16": 4 * time.Hour, "203.0.0.0/16": knock.Forever, "10.0.0.0/8": 2 * time.Hour})
}

// Many grants are one transaction.
func TestManyGrants(t *testing.T) {
	inNetNS(t)
	vpn := door("vpn", udp(51820))
	vpn.IPv6Prefix = 64
	table := open(t, spec(door("ssh", tcp(22)), vpn))
	var grants []Grant
	for i := range 300 {
		for _, door := range []string{"ssh", "vpn"} {
			for _, from := range []string{fmt.Sprintf("10.0.%d.%d", i/256, i%256), fmt.Sprintf("2001:db8:0:%x::1", i), fmt.Sprintf("fe80::%x%%eth0", i+1)} {
				p, zone := source(from)
				grants = append(grants, Grant{Door: door, Source: p, Zone: zone, Left: time.Hour, By: "knock"})
			}
		}
	}
	grants = append(grants, grants...)
	for range 2 {
		if err := table.Grant(grants...); err != nil {
			t.Fatal(err)
		}
		if in, err := table.Grants(); err != nil || len(in) != len(grants)/2 {
			t.Errorf("%d grants, %v; want %d", len(in), err, len(grants)/2)
		}
	}
	if err := table.Revoke(grants...); err != nil {
		t.Fatal(err)
	}
	if in := timesLeft(t, table); len(in) != 0 {
		t.Errorf("%d grants are left", len(in))
	}
}

// A door may have the name of anything that the table has itself.
func TestDoorNames(t *testing.T) {
	inNetNS(t)
	names := []string{
		"up", "closing", "knock", "knock_rate", "guard", "guarded", "always", "always_allow", "tcp", "udp", "tcp_22", "rate", "gate", "dispatch",
		"arrived", "judge", "admit", "sent", "leaving", "delivered", "ports", "code_ports", "interfaces", "answer", "refused", "door", "door_ssh",
		"up_open4", "up6", "link", "granted", "a", "a_open", "a_wide4",
	}
	s := rich()
	for i, name := range names {
		d := door(name, tcp(uint16(2000+i)), udp(uint16(2000+i)))
		d.Shut = knock.Reject
		if i == 0 {
			d.CodeBase = 30000
		}
		s.Doors = append(s.Doors, d)
	}
	table := open(t, s)
	for _, name := range names {
		grant(t, table, name, "203.0.113.7", time.Hour, "knock")
	}
	snapshot, err := Inspect("nftknock")
	if err != nil {
		t.Fatal(err)
	}
	var in []string
	for _, g := range snapshot.Grants {
		in = append(in, g.Door)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(names)), in); diff != "" {
		t.Errorf("who is in (-want +got):\n%s", diff)
	}
	if len(snapshot.Doors) != len(s.Doors) {
		t.Errorf("doors: %v", snapshot.Doors)
	}
}

// No name of the table's own can be one of a door's.
func TestNamesAreDisjoint(t *testing.T) {
	s := rich()
	s.Doors[0].CodeBase, s.Doors[0].Shut = 30000, knock.Reject
	r := NewRuleset(s)
	ofDoor := regexp.MustCompile(`^(ssh|vpn|web)_`)
	for _, set := range r.sets {
		if _, ok := cutGrantSuffix(set.name); ok != ofDoor.MatchString(set.name) || ok != set.timeout {
			t.Errorf("set %s: a door's: %v", set.name, ok)
		}
	}
	for _, c := range r.chains {
		if strings.HasPrefix(c.name, doorChain("")) != slices.Contains([]string{"door_ssh", "door_vpn", "door_web"}, c.name) {
			t.Errorf("chain %s", c.name)
		}
	}
	for _, name := range r.counters {
		if strings.HasSuffix(name, grantedCounter("")) != ofDoor.MatchString(name) {
			t.Errorf("counter %s", name)
		}
	}
}
