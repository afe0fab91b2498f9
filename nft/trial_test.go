package nft

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func tryOut(t *testing.T, s Spec) *Table {
	t.Helper()
	table, err := Try(NewRuleset(s))
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

func TestTry(t *testing.T) {
	inNetNS(t)
	s := spec(door("ssh", tcp(22)))
	table := tryOut(t, s)
	if _, err := table.LetIn("ssh", netip.MustParseAddr("203.0.113.9"), time.Minute, "knock"); err != nil {
		t.Fatal(err)
	}

	var owned *OwnedError
	if _, err := Try(NewRuleset(s)); !errors.As(err, &owned) {
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

func TestKeep(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "own", false: "not"}[own], func(t *testing.T) {
			inNetNS(t)
			s := spec(door("ssh", tcp(22)), door("vpn", udp(51820)))
			table := tryOut(t, s)
			who := netip.MustParseAddr("203.0.113.9")
			if _, err := table.LetIn("ssh", who, time.Minute, "knock"); err != nil {
				t.Fatal(err)
			}
			if err := table.Keep(own); err != nil {
				t.Fatal(err)
			}
			if own != table.Owned() {
				t.Skip("this kernel has no tables that persist")
			}
			if _, err := table.LetIn("vpn", who, time.Minute, "knock"); err != nil {
				t.Error(err)
			}
			table.Close()

			if there(t, "nftknock_stand_in") || !there(t, "nftknock") {
				t.Error(nftCommand(t, "", "list", "tables"))
			}
			if err := Free("nftknock"); err == nil || !strings.Contains(err.Error(), "is there already") {
				t.Errorf("a second trial: %v", err)
			}
			again := open(t, s)
			people, err := again.People()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range people {
				if p.Source.Addr() != who || p.By != "knock" || p.Left > time.Minute || p.Left < time.Second {
					t.Errorf("%+v", p)
				}
			}
			if len(people) != 2 {
				t.Errorf("in are %v", people)
			}
		})
	}
}
