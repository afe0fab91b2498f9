package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// inNetNS moves the test to a new network namespace. Its thread stays locked, so
// that the namespace ends with it.
func inNetNS(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// nftCommand runs nft, which inherits the namespace of the calling thread.
func nftCommand(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func tcp(number uint16) knock.Port { return knock.Port{Number: number, Proto: knock.TCP} }
func udp(number uint16) knock.Port { return knock.Port{Number: number, Proto: knock.UDP} }

func door(name string, ports ...knock.Port) knock.Door {
	return knock.Door{
		Name: name, Ports: ports,
		Sequence:   []knock.Port{tcp(7011), udp(9035), tcp(8127)},
		SeqTimeout: 15 * time.Second, OpenTimeout: time.Minute,
		Shut: knock.Drop, IPv4Prefix: 32, IPv6Prefix: 128,
	}
}

func spec(doors ...knock.Door) Spec {
	return Spec{Table: "nftknock", NFLogGroup: 7022, PerSource: 50, Doors: doors}
}

func rich() Spec {
	ssh, vpn := door("ssh", tcp(22), tcp(2222)), door("vpn", udp(51820), tcp(22))
	vpn.IPv4Prefix, vpn.IPv6Prefix = 24, 64
	web := door("web", tcp(443), udp(443))
	web.Shut = knock.Reject
	s := spec(ssh, vpn, web)
	s.PacketPort = 62201
	s.Interfaces = []string{"eth0", "wan0"}
	s.AlwaysAllow = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("224.0.0.0/3"), netip.MustParsePrefix("2001:db8::/48"),
	}
	return s
}

func open(t testing.TB, s Spec) *Table {
	t.Helper()
	table, err := Open(NewRuleset(s), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

// source returns a prefix, or an address as one; a link-local address has its interface.
func source(text string) (netip.Prefix, string) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, ""
	}
	a := netip.MustParseAddr(text)
	return netip.PrefixFrom(a.WithZone(""), a.BitLen()), a.Zone()
}

func grant(t testing.TB, table *Table, door, from string, left time.Duration, by string) {
	t.Helper()
	p, zone := source(from)
	if err := table.Grant(Grant{Door: door, Source: p, Zone: zone, Left: left, By: by}); err != nil {
		t.Fatal(err)
	}
}

func revoke(t testing.TB, table *Table, door, from string) {
	t.Helper()
	p, zone := source(from)
	if err := table.Revoke(Grant{Door: door, Source: p, Zone: zone}); err != nil {
		t.Fatal(err)
	}
}

// timesLeft returns who is let in, with the time that is left.
func timesLeft(t testing.TB, table *Table) map[string]time.Duration {
	t.Helper()
	grants, err := table.Grants()
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]time.Duration)
	for _, g := range grants {
		left[g.Source.String()+g.Zone] = g.Left
	}
	return left
}

func TestScriptIsWhatIsInstalled(t *testing.T) {
	for name, s := range map[string]Spec{"none": spec(), "one": spec(door("ssh", tcp(22))), "rich": rich()} {
		t.Run(name, func(t *testing.T) {
			inNetNS(t)
			open(t, s)
			installed := nftCommand(t, "", "list", "ruleset")
			nftCommand(t, installed, "-c", "-f", "-")
			nftCommand(t, "", "flush", "ruleset")
			nftCommand(t, NewRuleset(s).String(), "-f", "-")
			if diff := cmp.Diff(nftCommand(t, "", "list", "ruleset"), installed); diff != "" {
				t.Errorf("the script gives another table than Open (-script +installed):\n%s", diff)
			}
		})
	}
}

// From every configuration to every other one, the table becomes the same as if
// it had been installed anew.
func TestOpenBringsInLine(t *testing.T) {
	narrow := door("ssh", tcp(22))
	wide := narrow
	wide.IPv4Prefix, wide.Shut = 24, knock.Reject
	more := rich()
	more.AlwaysAllow = more.AlwaysAllow[1:]
	more.Interfaces = more.Interfaces[1:]
	specs := map[string]Spec{
		"none": spec(), "narrow": spec(narrow), "wide": spec(wide), "rich": rich(), "more": more,
		"other": spec(door("other", tcp(22), udp(53))),
	}
	for fromName, from := range specs {
		for toName, to := range specs {
			t.Run(fromName+" to "+toName, func(t *testing.T) {
				inNetNS(t)
				open(t, to)
				want := sorted(nftCommand(t, "", "list", "ruleset"))
				nftCommand(t, "", "flush", "ruleset")
				open(t, from)
				open(t, to)
				if diff := cmp.Diff(want, sorted(nftCommand(t, "", "list", "ruleset"))); diff != "" {
					t.Errorf("the table is not the same as a new one (-new +changed):\n%s", diff)
				}
			})
		}
	}
}

// sorted returns the blocks of a listing in an order of their own: chains and
// sets that stay keep their old place.
func sorted(listing string) []string {
	blocks := strings.Split(listing, "\n\t}\n")
	for i := range blocks {
		blocks[i] = strings.TrimSpace(strings.TrimPrefix(blocks[i], "table inet nftknock {"))
	}
	slices.Sort(blocks)
	return blocks
}

func TestGrants(t *testing.T) {
	tests := []struct {
		source     string
		ipv4, ipv6 int
		want       string
	}{
		{"203.0.113.7", 32, 128, "203.0.113.7/32"},
		{"203.0.113.7", 24, 64, "203.0.113.0/24"},
		{"255.255.255.255", 8, 64, "255.0.0.0/8"},
		{"2001:db8::7", 32, 128, "2001:db8::7/128"},
		{"2001:db8::7", 24, 64, "2001:db8::/64"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			inNetNS(t)
			d := door("ssh", tcp(22))
			d.IPv4Prefix, d.IPv6Prefix = test.ipv4, test.ipv6
			want := netip.MustParsePrefix(test.want)
			table := open(t, spec(d))
			for range 2 { // the second time renews
				grant(t, table, "ssh", test.source, time.Minute, "knock")
			}
			grants, err := table.Grants()
			if err != nil || len(grants) != 1 {
				t.Fatalf("grants: %v, %v", grants, err)
			}
			if g := grants[0]; g.Source != want || g.Door != "ssh" || g.By != "knock" || g.Left <= 0 || g.Left > time.Minute {
				t.Errorf("grants: %+v, want %v", g, want)
			}
			for range 2 { // the second time there is none
				revoke(t, table, "ssh", test.source)
			}
			if in := timesLeft(t, table); len(in) != 0 {
				t.Errorf("after revoking: %v", in)
			}
		})
	}
}

func TestOpenKeepsGrants(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	table := open(t, spec(d))
	for _, source := range []string{"203.0.113.7", "203.0.113.8", "198.51.100.1"} {
		grant(t, table, "ssh", source, time.Minute, "knock")
	}
	d.OpenTimeout = knock.Forever
	table = open(t, spec(d))
	grant(t, table, "ssh", "203.0.113.9", knock.Forever, "admin")
	d.IPv4Prefix = 24
	table = open(t, spec(d))
	left := timesLeft(t, table)
	if len(left) != 2 || left["203.0.113.0/24"] != knock.Forever {
		t.Errorf("grants: %v", left)
	}
	if l := left["198.51.100.0/24"]; l > time.Minute || l < 30*time.Second {
		t.Errorf("198.51.100.0/24 has %v left, want a little under 1m", l)
	}
}

func TestOpenLeavesOthersTablesAlone(t *testing.T) {
	inNetNS(t)
	nftCommand(t, "add table inet nftknock\nadd chain inet nftknock mine\n", "-f", "-")
	before := nftCommand(t, "", "list", "ruleset")
	if _, err := Open(NewRuleset(spec()), false); err == nil {
		t.Error("no error")
	} else if _, ok := err.(*NotOursError); !ok {
		t.Errorf("%T: %v", err, err)
	}
	if diff := cmp.Diff(before, nftCommand(t, "", "list", "ruleset")); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	inNetNS(t)
	if err := open(t, rich()).Remove(); err != nil {
		t.Fatal(err)
	}
	if left := nftCommand(t, "", "list", "ruleset"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// Nobody's flush or delete reaches a table that is owned; it outlives its owner,
// and the next one keeps its people.
func TestOwned(t *testing.T) {
	inNetNS(t)
	rules := NewRuleset(spec(door("ssh", tcp(22))))
	table, err := Open(rules, true)
	if err != nil {
		t.Fatal(err)
	}
	if !table.Owned() {
		t.Skip("the kernel has no tables that are owned and persist: Linux 6.9 or newer")
	}
	grant(t, table, "ssh", "203.0.113.7", time.Minute, "knock")
	before := nftCommand(t, "", "-s", "list", "chain", "inet", "nftknock", "gate")
	nftCommand(t, "", "flush", "ruleset")
	if err := exec.Command("nft", "delete", "table", "inet", "nftknock").Run(); err == nil {
		t.Error("somebody else could delete the table")
	}
	if _, err := Open(rules, true); err == nil {
		t.Error("two can own the table")
	}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(before, nftCommand(t, "", "-s", "list", "chain", "inet", "nftknock", "gate")); diff != "" {
			t.Error(diff)
		}
		if in := timesLeft(t, table); len(in) != 1 {
			t.Errorf("grants: %v", in)
		}
	}
	check()
	if err := table.refused(); err == nil {
		t.Error("the kernel has taken an impossible transaction")
	}
	grant(t, table, "ssh", "203.0.113.7", time.Minute, "knock")
	check()
	table.Close()
	table, err = Open(rules, true)
	if err != nil || !table.Owned() {
		t.Fatalf("opened again: owned %v, %v", table.Owned(), err)
	}
	check()
	table.Close()
	nftCommand(t, "", "delete", "table", "inet", "nftknock")
}

// A table that was left behind, awake or dormant, is brought in line, whatever base chains it and the new ruleset have.
func TestOpenChangesWhatWasLeft(t *testing.T) {
	plain, rejecting := door("ssh", tcp(22)), door("ssh", tcp(22))
	rejecting.Shut = knock.Reject // has a base chain more
	for _, test := range []struct {
		name    string
		was, is knock.Door
		dormant bool
	}{
		{"one more", plain, rejecting, false},
		{"one less", rejecting, plain, false},
		{"dormant", plain, plain, true},
		{"dormant, one more", plain, rejecting, true},
		{"dormant, one less", rejecting, plain, true},
	} {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, own %v", test.name, own), func(t *testing.T) {
				inNetNS(t)
				table, err := Open(NewRuleset(spec(test.was)), own)
				if err != nil {
					t.Fatal(err)
				}
				grant(t, table, "ssh", "203.0.113.7", time.Minute, "knock")
				table.Close()
				if test.dormant {
					putToSleep(t, table.Owned())
				}

				table, err = Open(NewRuleset(spec(test.is)), own)
				if err != nil {
					t.Fatal(err)
				}
				defer table.Close()
				if in := timesLeft(t, table); len(in) != 1 {
					t.Errorf("grants: %v", in)
				}
				if listing := nftCommand(t, "", "list", "table", "inet", "nftknock"); strings.Contains(listing, "dormant") {
					t.Error("still dormant")
				}
			})
		}
	}
}

// putToSleep is nft's "add table inet nftknock { flags dormant, persist; }", which older ones do not know.
func putToSleep(t *testing.T, persists bool) {
	t.Helper()
	hand, err := connect("nftknock")
	if err != nil {
		t.Fatal(err)
	}
	defer hand.Close()
	flags := uint32(tableDormant)
	if persists {
		flags |= tablePersist
	}
	batch, err := encode(func(c *nftables.Conn) error { c.AddTable(hand.table); return nil })
	if err := errors.Join(err, setFlags(batch, "nftknock", flags), commit(hand.socket, batch)); err != nil {
		t.Fatal(err)
	}
	if listing := nftCommand(t, "", "list", "table", "inet", "nftknock"); !strings.Contains(listing, "dormant") {
		t.Fatal("not dormant")
	}
}

// refused sends a transaction that the kernel refuses, with an answer to each of its messages.
func (t *Table) refused() error {
	batch, err := encode(func(c *nftables.Conn) error {
		for range 3 {
			c.DelChain(&nftables.Chain{Name: "none", Table: t.table})
		}
		return nil
	})
	return errors.Join(err, commit(t.socket, batch))
}

// Of a table that is not owned, what somebody else does to it is heard of and
// can be undone.
func TestRestore(t *testing.T) {
	for _, hand := range []string{
		"flush ruleset", "delete table inet nftknock", "flush chain inet nftknock gate",
		"add rule inet nftknock admit accept", "flush ruleset; table inet nftknock { chain other { }; }",
		"flush set inet nftknock ports", "delete element inet nftknock guard_tcp { 22 }", "add element inet nftknock always_allow4 { 0.0.0.0/0 }",
		"add chain inet nftknock gate { policy drop; }", "add set inet nftknock foreign { type ipv4_addr; }",
		"add map inet nftknock foreign { type ipv4_addr : verdict; }", "add counter inet nftknock foreign",
		"add chain inet nftknock foreign { type filter hook input priority 0; }",
		"add element inet nftknock up4 { 203.0.113.7 . 1000 . 192.0.2.1 . 22 . tcp timeout 5d }",
		"add table inet nftknock { flags dormant; }", "insert rule inet nftknock judge accept",
		"flush chain inet nftknock gate; delete chain inet nftknock gate; add chain inet nftknock gate { type filter hook prerouting priority 0; }",
		"flush table inet nftknock; delete set inet nftknock ports; add set inet nftknock ports { type ipv4_addr; }",
	} {
		t.Run(hand, func(t *testing.T) {
			inNetNS(t)
			table := open(t, spec(door("ssh", tcp(22)), door("vpn", udp(51820))))
			before := sorted(nftCommand(t, "", "-s", "list", "ruleset"))
			grant(t, table, "vpn", "2001:db8::7", time.Minute, "knock")
			grant(t, table, "ssh", "10.0.0.0/8", time.Minute, "admin")
			watcher, err := table.Watch()
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Close()
			grant(t, table, "ssh", "203.0.113.7", time.Minute, "knock")
			select {
			case <-watcher.Changed():
				t.Error("takes a grant for somebody else's change")
			default:
			}
			nftCommand(t, hand+"\n", "-f", "-")
			select {
			case <-watcher.Changed():
			case <-time.After(10 * time.Second):
				t.Fatal("not heard of")
			}
			select {
			case <-watcher.Changed():
				t.Error("one transaction is heard of twice")
			default:
			}
			if err := table.Restore(); err != nil {
				t.Fatal(err)
			}
			if in := timesLeft(t, table); len(in) != 3 {
				t.Errorf("grants: %v", in)
			}
			revoke(t, table, "vpn", "2001:db8::7")
			revoke(t, table, "ssh", "203.0.113.7")
			revoke(t, table, "ssh", "10.0.0.0/8")
			if diff := cmp.Diff(before, sorted(nftCommand(t, "", "-s", "list", "ruleset"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What somebody grants or revokes with nft is no damage, and stays so when the table is made anew.
func TestGrantsWithNFT(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	d.IPv4Prefix = 24
	table := open(t, spec(d))
	watcher, err := table.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	for _, source := range []string{"203.0.113.7", "2001:db8::7", "fe80::7%eth0", "10.0.0.0/8", "172.16.0.0/12"} {
		grant(t, table, "ssh", source, time.Hour, "knock")
	}
	nftCommand(t, `
		delete element inet nftknock ssh_open4 { 203.0.113.0/24 }
		delete element inet nftknock ssh_link6 { fe80::7 . "eth0" }
		delete element inet nftknock ssh_wide4 { 10.0.0.0/8 }
		add element inet nftknock ssh_wide4 { 192.168.0.0/16 timeout 1h }
		add element inet nftknock ssh_open4 { 198.51.100.0/24 timeout 1h comment "admin" }
		add element inet nftknock ssh_open6 { 2001:db8::8 }
		add element inet nftknock ssh_link6 { fe80::8 . "eth1" timeout 1h }
		add element inet nftknock knock_rate4 { 203.0.113.7 }
	`, "-f", "-")
	nftCommand(t, "", "flush", "ruleset")
	select {
	case <-watcher.Changed():
	case <-time.After(10 * time.Second):
		t.Fatal("not heard of")
	}
	if err := table.Restore(); err != nil {
		t.Fatal(err)
	}
	grants, err := table.Grants()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, g := range grants {
		got[g.Source.String()+g.Zone] = g.By
	}
	want := map[string]string{"172.16.0.0/12": "knock", "192.168.0.0/16": "", "198.51.100.0/24": "admin", "2001:db8::7/128": "knock", "2001:db8::8/128": "", "fe80::8/128eth1": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who is in (-want +got):\n%s", diff)
	}
	if err := table.Grant(Grant{Door: "ssh", Source: netip.MustParsePrefix("fe80::7/128"), Left: time.Hour}); err == nil {
		t.Error("a link-local source without its link is let in")
	}
}

// A table that a daemon would put back is not removed.
func TestRemoveWhileHeard(t *testing.T) {
	inNetNS(t)
	l, err := Listen(7022, func(time.Time, knock.Packet, []byte) {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	open(t, spec(door("ssh", tcp(22))))
	if was, err := Remove("nftknock"); !was || err == nil || !strings.Contains(err.Error(), "stop the nftknockd that is running") {
		t.Errorf("while somebody listens: %v, %v", was, err)
	}
	l.Close()
	if was, err := Remove("nftknock"); !was || err != nil {
		t.Errorf("afterwards: %v, %v", was, err)
	}
	if tables := nftCommand(t, "", "list", "tables"); tables != "" {
		t.Errorf("left are %s", tables)
	}
}
