package integration

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hand is what another program does: arguments of nft, of one call after the other.
type hand struct {
	name  string
	calls [][]string
}

var deleteTable = hand{"nft delete table", [][]string{{"delete", "table", "inet", gateTable}}}

// handsIn returns hands that take everything away. The directory is for their files.
func handsIn(t *testing.T, dir string) []hand {
	t.Helper()
	file := filepath.Join(dir, "nftables.conf")
	if err := os.WriteFile(file, []byte(nftablesConf), 0o644); err != nil {
		t.Fatal(err)
	}
	flush, load := []string{"flush", "ruleset"}, []string{"-f", file}
	return []hand{
		{"nft flush ruleset", [][]string{flush}},
		deleteTable,
		{"systemctl reload nftables", [][]string{load}},
		{"systemctl restart nftables", [][]string{flush, load}},
	}
}

// nftablesConf is as distributions have it.
const nftablesConf = `#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
}
`

// TestSomebodyElsesHand has other programs take the table away. If the daemon
// owns it they cannot; if not, it puts back the table and the people.
func TestSomebodyElsesHand(t *testing.T) {
	size := sizeOfLife()
	eachWay(t, func(t *testing.T, s *site, config string) {
		intruder := startIntruder(t, s, size.tries)
		d := startReady(t, s.server, writeConfig(t, config))
		owned := strings.Contains(config, `"auto"`)
		if owned {
			d.needOwned(t)
		}
		d.mayBeAmiss = !owned // a table can vanish while it is put back
		hands := handsIn(t, t.TempDir())
		scribe := startScribe(t, s.server)
		guarded := intruder.now()
		s.moveIn(t)
		visitors := startVisitors(t, s, knockRate)

		var gaps []gap
		var worst time.Duration
		for n := range size.hands {
			for _, hand := range hands {
				before := s.register(t)
				if owned {
					s.expectOutOfReach(t, scribe, hand)
				} else {
					gaps = append(gaps, s.expectPutBack(t, scribe, intruder, hand))
				}
				worst = max(worst, s.expectSame(t, before, s.register(t)))
				if t.Failed() {
					t.Fatalf("%s, round %d", hand.name, n+1)
				}
			}
		}
		t.Logf("%d times; the worst that happened to a resident's time: %v", size.hands*len(hands), worst)
		if n := len(s.server.run(t, "nft", "list", "table", "inet", "filter")); n == 0 {
			t.Error("nftables.service has not done what it should")
		}

		visitors.leave(t)
		s.expectHearing(t, d)
		if owned {
			intruder.expectSilence(t, guarded)
		} else {
			all, meanwhile := intruder.count(t, guarded), logGaps(t, intruder, gaps)
			if n := all.answered - meanwhile; n > 0 {
				t.Errorf("%d SYNs were answered while the table was there", n)
			}
		}
	})
}

// expectOutOfReach lets somebody try to take the table away, and makes sure that it
// was not touched.
func (s *site) expectOutOfReach(t *testing.T, scribe *scribe, hand hand) {
	t.Helper()
	first := scribe.sync(t, s.server)
	for _, args := range hand.calls {
		if r := s.server.try(t, "nft", args...); (r.err != nil) != (hand.name == deleteTable.name) {
			t.Errorf("%s: %v\n%s", hand.name, r.err, r.stderr)
		}
	}
	last := scribe.sync(t, s.server)
	for _, x := range scribe.since(t, first)[:last-first] {
		if x.tables[gateTable] {
			t.Errorf("%s has changed the table", x.by)
		}
	}
}

// A gap is a time in which the table was not what it should be.
type gap struct {
	took     time.Duration // from one transaction to the other, as another process hears of them
	from, to int           // the intruder's SYNs that were sent meanwhile are among these
}

// expectPutBack takes the table away, and waits until it is back.
func (s *site) expectPutBack(t *testing.T, scribe *scribe, intruder *intruder, hand hand) gap {
	t.Helper()
	// A SYN that has been numbered may not have arrived for a while.
	g := gap{from: intruder.now()}
	first := scribe.sync(t, s.server)
	for _, args := range hand.calls {
		s.server.run(t, "nft", args...)
	}
	last := scribe.sync(t, s.server) // all that the hand has done was before

	taken := -1
	for n, x := range scribe.since(t, 0)[:last] {
		if n >= first && x.tables[gateTable] && !x.byDaemon() {
			taken = n // for the last time
		}
	}
	if taken < 0 {
		t.Fatalf("%s has not touched the table: the test proves nothing", hand.name)
	}
	eventually(t, "the table is back after "+hand.name, func() bool {
		since := scribe.since(t, taken)
		back := slices.IndexFunc(since, transaction.byDaemon)
		if back >= 0 {
			g.took = since[back].at.Sub(since[0].at)
		}
		return back >= 0
	})
	g.to = intruder.now()
	const most = 5 * time.Second // far from the goal: the machine may be busy with other tests
	if g.took > most {
		t.Errorf("the table was away for %v", g.took)
	}
	return g
}

// logGaps returns how many of the intruder's SYNs were answered in the gaps.
func logGaps(t *testing.T, intruder *intruder, gaps []gap) int {
	t.Helper()
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.took, b.took) })
	answered, widest := 0, time.Duration(0)
	for _, g := range gaps {
		b := intruder.breach(g.from, g.to)
		answered += b.answered
		widest = max(widest, b.wide)
	}
	t.Logf("the table was away for %v (median), %v (90 of 100), %v (longest); %d SYNs were answered meanwhile, those of a time within %v",
		gaps[len(gaps)/2].took, gaps[len(gaps)*9/10].took, gaps[len(gaps)-1].took, answered, widest)
	return answered
}

// TestOwnedIsReleased has a daemon that owns its table, and then has stopped: only
// then others can take the table away.
func TestOwnedIsReleased(t *testing.T) {
	ways := []struct {
		name string
		args func(config string) []string
	}{
		{"nft delete table", func(string) []string { return []string{"nft", "delete", "table", "inet", gateTable} }},
		{"nft flush ruleset", func(string) []string { return []string{"nft", "flush", "ruleset"} }},
		{"nftknockd remove", func(config string) []string { return []string{program, "remove", "-c", config} }},
		{"nftknockd remove --table", func(string) []string { return []string{program, "remove", "--table", gateTable} }},
	}
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ipv4)
			s.server.listenTCP(t, 22)
			config := writeConfig(t, sshDoor)
			d := startReady(t, s.server, config)
			d.needOwned(t)
			args := way.args(config)

			r := s.server.try(t, args[0], args[1:]...)
			if strings.HasPrefix(way.name, "nftknockd") {
				const want = "nftknockd: table inet nftknock belongs to another process: stop the nftknockd that is running\n"
				if r.exit() != 1 || r.stdout != "" || r.stderr != want {
					t.Errorf("while the daemon runs: exit status %d, stdout %q, stderr %q; want 1, nothing, %q",
						r.exit(), r.stdout, r.stderr, want)
				}
			}
			s.expectShut(t, s.person, "22", silent)

			d.stop(syscall.SIGTERM)
			s.expectShut(t, s.person, "22", silent)
			s.server.run(t, args[0], args[1:]...)
			if listed := s.server.listRuleset(t); listed != "" {
				t.Errorf("left behind:\n%s", listed)
			}
			s.expectOpen(t, s.person, "22")
		})
	}
}
