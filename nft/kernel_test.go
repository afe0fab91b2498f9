package nft

import (
	"errors"
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

func TestPeople(t *testing.T) {
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
			source, want := netip.MustParseAddr(test.source), netip.MustParsePrefix(test.want)
			table := open(t, spec(d))
			for range 2 { // the second time renews
				if got, err := table.LetIn("ssh", source, time.Minute, "knock"); err != nil || got != want {
					t.Fatalf("let in %v, %v, want %v", got, err, want)
				}
			}
			people, err := table.People()
			if err != nil || len(people) != 1 {
				t.Fatalf("people: %v, %v", people, err)
			}
			if p := people[0]; p.Source != want || p.Door != "ssh" || p.By != "knock" || p.Left <= 0 || p.Left > time.Minute {
				t.Errorf("people: %+v, want %v", p, want)
			}
			for range 2 { // the second time nobody is in
				if _, err := table.PutOut("ssh", source); err != nil {
					t.Fatal(err)
				}
			}
			if people, err := table.People(); err != nil || len(people) != 0 {
				t.Errorf("after putting out: %v, %v", people, err)
			}
		})
	}
}

func TestOpenKeepsPeople(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	table := open(t, spec(d))
	for _, source := range []string{"203.0.113.7", "203.0.113.8", "198.51.100.1"} {
		if _, err := table.LetIn("ssh", netip.MustParseAddr(source), time.Minute, "knock"); err != nil {
			t.Fatal(err)
		}
	}
	d.OpenTimeout = knock.Forever
	table = open(t, spec(d))
	if _, err := table.LetIn("ssh", netip.MustParseAddr("203.0.113.9"), knock.Forever, "hand"); err != nil {
		t.Fatal(err)
	}
	d.IPv4Prefix = 24
	table = open(t, spec(d))
	people, err := table.People()
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string]time.Duration)
	for _, p := range people {
		left[p.Source.String()] = p.Left
	}
	if len(left) != 2 || left["203.0.113.0/24"] != knock.Forever {
		t.Errorf("people: %v", left)
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
	source := netip.MustParseAddr("203.0.113.7")
	rules := NewRuleset(spec(door("ssh", tcp(22))))
	table, err := Open(rules, true)
	if err != nil {
		t.Fatal(err)
	}
	if !table.Owned() {
		t.Skip("the kernel has no tables that are owned and persist: Linux 6.9 or newer")
	}
	if _, err := table.LetIn("ssh", source, time.Minute, "knock"); err != nil {
		t.Fatal(err)
	}
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
		if people, err := table.People(); err != nil || len(people) != 1 {
			t.Errorf("people: %v, %v", people, err)
		}
	}
	check()
	if err := table.refused(); err == nil {
		t.Error("the kernel has taken an impossible transaction")
	}
	if _, err := table.LetIn("ssh", source, time.Minute, "knock"); err != nil {
		t.Errorf("after a transaction that was refused: %v", err)
	}
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
			if _, err := table.LetIn("vpn", netip.MustParseAddr("2001:db8::7"), time.Minute, "knock"); err != nil {
				t.Fatal(err)
			}
			watcher, err := table.Watch()
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Close()
			if _, err := table.LetIn("ssh", netip.MustParseAddr("203.0.113.7"), time.Minute, "knock"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-watcher.Changed():
				t.Error("takes letting in for somebody else's change")
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
			if people, err := table.People(); err != nil || len(people) != 2 {
				t.Errorf("people: %v, %v", people, err)
			}
			for door, source := range map[string]string{"vpn": "2001:db8::7", "ssh": "203.0.113.7"} {
				if _, err := table.PutOut(door, netip.MustParseAddr(source)); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(before, sorted(nftCommand(t, "", "-s", "list", "ruleset"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Who is let in or put out by hand is no damage, and stays in or out when the table is made anew.
func TestHands(t *testing.T) {
	inNetNS(t)
	d := door("ssh", tcp(22))
	d.IPv4Prefix = 24
	table := open(t, spec(d))
	watcher, err := table.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	for _, source := range []string{"203.0.113.7", "2001:db8::7", "fe80::7%eth0"} {
		if _, err := table.LetIn("ssh", netip.MustParseAddr(source), time.Hour, "knock"); err != nil {
			t.Fatal(err)
		}
	}
	nftCommand(t, `
		delete element inet nftknock ssh_open4 { 203.0.113.0/24 }
		delete element inet nftknock ssh_link6 { fe80::7 . "eth0" }
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
	people, err := table.People()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, p := range people {
		got[p.Source.String()+p.Zone] = p.By
	}
	want := map[string]string{"198.51.100.0/24": "admin", "2001:db8::7/128": "knock", "2001:db8::8/128": "", "fe80::8/128eth1": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who is in (-want +got):\n%s", diff)
	}
	if _, err := table.LetIn("ssh", netip.MustParseAddr("fe80::7"), time.Hour, "knock"); err == nil {
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
