package nft

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func tryOut(t *testing.T, s Spec) *Table {
	t.Helper()
	table, err := OpenTrial(NewRuleset(s))
	if err != nil && strings.Contains(err.Error(), "Linux 5.12") {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func there(t *testing.T, table string) bool {
	t.Helper()
	out, err := exec.Command("nft", "list", "tables").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Contains(string(out), "table inet "+table)
}

func TestOpenTrial(t *testing.T) {
	inNetNS(t)
	s := spec(door("ssh", tcp(22)))
	table := tryOut(t, s)
	grant(t, table, "ssh", "203.0.113.9", time.Minute, "knock")

	var owned *OwnedError
	if _, err := OpenTrial(NewRuleset(s)); !errors.As(err, &owned) {
		t.Errorf("a second trial: %v", err)
	}
	if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !there(t, "nftknock") {
		t.Error("somebody else has taken it away")
	}
	table.Close()
	if there(t, "nftknock") {
		t.Error("still there")
	}
}

func TestCommit(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "own", false: "not"}[own], func(t *testing.T) {
			inNetNS(t)
			s := spec(door("ssh", tcp(22)), door("vpn", udp(51820)))
			table := tryOut(t, s)
			grant(t, table, "ssh", "203.0.113.9", time.Minute, "knock")
			if err := table.Commit(own); err != nil {
				t.Fatal(err)
			}
			if own != table.Owned() {
				t.Skip("this kernel has no tables that persist")
			}
			grant(t, table, "vpn", "203.0.113.9", time.Minute, "knock")
			table.Close()

			if there(t, "nftknock_stand_in") || !there(t, "nftknock") {
				t.Error(nftCommand(t, "", "list", "tables"))
			}
			if err := CheckAbsent("nftknock"); err == nil || !strings.Contains(err.Error(), "is there already") {
				t.Errorf("a second trial: %v", err)
			}
			again := open(t, s)
			grants, err := again.Grants()
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range grants {
				if g.Source.String() != "203.0.113.9/32" || g.By != "knock" || g.Left > time.Minute || g.Left < time.Second {
					t.Errorf("%+v", g)
				}
			}
			if len(grants) != 2 {
				t.Errorf("grants: %v", grants)
			}
		})
	}
}
