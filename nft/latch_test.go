package nft

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// without has this kernel lack something until the test has ended.
func without(t *testing.T, feature string) {
	t.Helper()
	lacks = feature
	t.Cleanup(func() { lacks = "" })
}

// openLatched opens a table as on a kernel with owned tables that do not persist.
func openLatched(t *testing.T, s Spec) *Table {
	t.Helper()
	without(t, "persist")
	table, err := Open(NewRuleset(s), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	if table.Owned() {
		t.Fatal("the table is owned")
	}
	if !table.latched {
		t.Skip("this kernel has no tables with an owner: Linux 5.12 or newer")
	}
	return table
}

func TestLatchAsListed(t *testing.T) {
	inNetNS(t)
	s := rich()
	table := openLatched(t, s)
	script := NewRuleset(s).latch().String()
	listed := nftCommand(t, "", "list", "table", "inet", "nftknock_latch")
	table.Close()
	nftCommand(t, "", "flush", "ruleset")
	nftCommand(t, script, "-f", "-")
	plain := func(listing string) string { // what the kernel tells of an owner
		var kept []string
		for line := range strings.Lines(listing) {
			if !strings.HasPrefix(line, "table ") && !strings.HasPrefix(line, "\tflags") && !strings.HasPrefix(line, "\tcomment") {
				kept = append(kept, line)
			}
		}
		return strings.TrimSpace(strings.Join(kept, ""))
	}
	if diff := cmp.Diff(plain(nftCommand(t, "", "list", "table", "inet", "nftknock_latch")), plain(listed)); diff != "" {
		t.Errorf("-script +installed:\n%s", diff)
	}
}

// The latch is out of reach while the table is open, and goes with it; the table itself stays.
func TestLatchGoesWithTheProcess(t *testing.T) {
	inNetNS(t)
	s := spec(door("ssh", tcp(22)))
	table := openLatched(t, s)
	if _, err := Open(NewRuleset(s), true); err == nil || !strings.Contains(err.Error(), "stop the nftknockd that is running") {
		t.Errorf("a second daemon: %v", err)
	}
	if _, err := Remove("nftknock"); err == nil || !strings.Contains(err.Error(), "stop the nftknockd that is running") {
		t.Errorf("remove: %v", err)
	}
	nftCommand(t, "", "flush", "ruleset")
	if exec.Command("nft", "delete", "table", "inet", "nftknock_latch").Run() == nil || !there(t, "nftknock_latch") {
		t.Error("somebody else has taken the latch away")
	}
	if err := table.refused(); err == nil {
		t.Error("the kernel has taken an impossible transaction")
	}
	if err := table.Restore(); err != nil || !there(t, "nftknock_latch") {
		t.Errorf("restored: %v", err)
	}
	table.Close()
	if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
		t.Errorf("left are %s", tables)
	}
	table = openLatched(t, s)
	if err := table.Remove(); err != nil || nftCommand(t, "", "list", "tables") != "" {
		t.Errorf("removed: %v", err)
	}
}

// TestLatchHasNoGap sends datagrams to a guarded port as fast as it can from another
// namespace, while somebody takes the table away and it is put back.
func TestLatchHasNoGap(t *testing.T) {
	inNetNS(t)
	sender := neighbour(t)
	nftCommand(t, `table inet counting { chain input { type filter hook input priority 0; udp dport 51820 counter; }; }`, "-f", "-")
	s := spec(door("vpn", udp(51820)))
	table := openLatched(t, s)
	f := sender.flood(t)
	f.awaitMore(t)
	for range 15 {
		nftCommand(t, "", "delete", "table", "inet", "nftknock")
		f.awaitMore(t)
		if err := table.Restore(); err != nil {
			t.Fatal(err)
		}
		f.awaitMore(t)
	}
	if n := passed(t); n > 0 {
		t.Errorf("%d of %d datagrams have passed", n, f.sent.Load())
	}
	grant(t, table, "vpn", "192.0.2.2", knock.Forever, "admin")
	for end := time.Now().Add(5 * time.Second); passed(t) == 0; {
		if time.Now().After(end) {
			t.Fatal("who is let in does not get past the latch")
		}
		f.awaitMore(t)
	}
	f.stop()
}

// With a new ruleset the latch has its ports.
func TestLatchIsReplaced(t *testing.T) {
	inNetNS(t)
	table := openLatched(t, spec(door("ssh", tcp(22))))
	for _, s := range []Spec{spec(door("ssh", tcp(22), tcp(2222))), spec(door("vpn", udp(51820))), rich(), spec()} {
		if err := table.Replace(NewRuleset(s)); err != nil {
			t.Fatal(err)
		}
		got := sorted(nftCommand(t, "", "list", "table", "inet", "nftknock_latch"))
		table.Close()
		table = openLatched(t, s)
		if diff := cmp.Diff(sorted(nftCommand(t, "", "list", "table", "inet", "nftknock_latch")), got); diff != "" {
			t.Errorf("-new +replaced:\n%s", diff)
		}
	}
}

// A trial that is committed where tables do not persist has a latch from then on.
func TestCommitLatched(t *testing.T) {
	inNetNS(t)
	without(t, "persist")
	table := tryOut(t, spec(door("ssh", tcp(22))))
	if there(t, "nftknock_latch") {
		t.Error("a trial's table, which is owned, has a latch")
	}
	if err := table.Commit(true); err != nil {
		t.Fatal(err)
	}
	if table.Owned() || !there(t, "nftknock_latch") {
		t.Errorf("owned %v:\n%s", table.Owned(), nftCommand(t, "", "list", "tables"))
	}
	table.Close()
	if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
		t.Errorf("left are %s", tables)
	}
}

// Where tables have no owners there is neither a latch nor a trial.
func TestWithoutOwners(t *testing.T) {
	inNetNS(t)
	without(t, "owner")
	s := spec(door("ssh", tcp(22)))
	if _, err := OpenTrial(NewRuleset(s)); err == nil || !strings.Contains(err.Error(), "Linux 5.12") {
		t.Errorf("a trial: %v", err)
	}
	table, err := Open(NewRuleset(s), true)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
		t.Errorf("there are %s", tables)
	}
}

// Where tables have no owners the latch falls when the table has gone, and is lifted with its return.
func TestLooseLatch(t *testing.T) {
	inNetNS(t)
	without(t, "owner")
	s := spec(door("ssh", tcp(22)))
	table, err := Open(NewRuleset(s), true)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	w, err := table.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, hand := range []string{"flush ruleset", "delete table inet nftknock", "flush ruleset; flush ruleset"} {
		nftCommand(t, "", hand)
		select {
		case <-w.Changed():
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nobody has heard", hand)
		}
		if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock_latch\n" {
			t.Errorf("%s: there are %s", hand, tables)
		}
		if err := table.Restore(); err != nil {
			t.Fatal(err)
		}
		if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
			t.Errorf("%s: after the repair there are %s", hand, tables)
		}
	}

	// One that was left behind goes at the next start, or by Remove.
	nftCommand(t, "", "delete", "table", "inet", "nftknock")
	<-w.Changed()
	w.Close()
	table.Close()
	again, err := Open(NewRuleset(s), true)
	if err != nil {
		t.Fatal(err)
	}
	if tables := nftCommand(t, "", "list", "tables"); tables != "table inet nftknock\n" {
		t.Errorf("after another start there are %s", tables)
	}
	again.Close()
	nftCommand(t, NewRuleset(s).latch().String(), "-f", "-")
	nftCommand(t, "", "delete", "table", "inet", "nftknock")
	if was, err := Remove("nftknock"); !was || err != nil || nftCommand(t, "", "list", "tables") != "" {
		t.Errorf("removed: %v, %v", was, err)
	}
}

// What the gate refuses, lets in, or hands to another port gets past the latch; what it does not guard, too.
func TestLatchLetsTheGateDecide(t *testing.T) {
	inNetNS(t)
	sender := neighbour(t)
	for _, port := range []int{22, 443, 8080} {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	ssh, web := door("ssh", tcp(22)), door("web", tcp(443))
	web.Shut = knock.Reject
	table := openLatched(t, spec(ssh, web))
	nftCommand(t, `table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 2200 redirect to :22; }; }`, "-f", "-")
	try := func(port int) error {
		c, err := sender.dial(port, 2*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
	silent := func(err error) bool {
		var netErr net.Error
		return errors.As(err, &netErr) && netErr.Timeout()
	}
	if err := try(22); !silent(err) {
		t.Errorf("a door that drops: %v", err)
	}
	if err := try(2200); !silent(err) {
		t.Errorf("a door that drops, by another port: %v", err)
	}
	if err := try(443); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a door that rejects: %v", err)
	}
	if err := try(8080); err != nil {
		t.Errorf("another port: %v", err)
	}
	for _, door := range []string{"ssh", "web"} {
		grant(t, table, door, "192.0.2.2", time.Minute, "admin")
	}
	for _, port := range []int{22, 443, 2200} {
		if err := try(port); err != nil {
			t.Errorf("who is let in, at port %d: %v", port, err)
		}
	}
	if listed := nftCommand(t, "", "list", "counter", "inet", "nftknock_latch", heldCounter); !strings.Contains(listed, "packets 0 ") {
		t.Errorf("beside the gate the latch has dropped packets:\n%s", listed)
	}
	nftCommand(t, "", "delete", "table", "inet", "nftknock")
	for _, port := range []int{22, 443, 2200} {
		if err := try(port); !silent(err) {
			t.Errorf("without a gate, at port %d: %v", port, err)
		}
	}
	if err := try(8080); err != nil {
		t.Errorf("without a gate, another port: %v", err)
	}
}
