package life

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// A remover is what another program does: arguments of nft, of one call after the other.
type remover struct {
	name  string
	calls [][]string
}

var deleteTable = remover{"nft delete table", [][]string{{"delete", "table", "inet", lab.GateTable}}}

// tableRemovers returns removers that take everything away. The directory is for their files.
func tableRemovers(t *testing.T, dir string) []remover {
	t.Helper()
	file := filepath.Join(dir, "nftables.conf")
	if err := os.WriteFile(file, []byte(nftablesConf), 0o644); err != nil {
		t.Fatal(err)
	}
	flush, load := []string{"flush", "ruleset"}, []string{"-f", file}
	return []remover{
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

// TestTableRemoved has other programs take the table away. If the daemon
// owns it they cannot; if not, it puts back the table and the people. Where it has a latch, nobody gets in meanwhile.
func TestTableRemoved(t *testing.T) {
	size := sizeOfLife()
	eachHold(t, func(t *testing.T, s *lab.Topology, d *unit, prober *prober, hold string) {
		owned := hold == "owned"
		d.mayBeAmiss = !owned // a table can vanish while it is put back
		removers := tableRemovers(t, t.TempDir())
		monitor := startMonitor(t, s.Server)
		guarded := prober.now()
		moveIn(t, s)
		traffic := startTraffic(t, s, knockRate)

		var gaps []gap
		var worst time.Duration
		for n := range size.removers {
			for _, remover := range removers {
				before := takeSnapshot(t, s)
				if owned {
					expectOutOfReach(t, s, monitor, remover)
				} else {
					gaps = append(gaps, expectPutBack(t, s, monitor, prober, remover))
				}
				worst = max(worst, expectSame(t, s, before, takeSnapshot(t, s)))
				if t.Failed() {
					t.Fatalf("%s, round %d", remover.name, n+1)
				}
			}
		}
		t.Logf("%d times; the worst that happened to a resident's time: %v", size.removers*len(removers), worst)
		if n := len(s.Server.Run(t, "nft", "list", "table", "inet", "filter")); n == 0 {
			t.Error("nftables.service has not done what it should")
		}

		traffic.finish(t)
		expectHearing(t, s, d)
		if owned || hold == "latched" {
			prober.expectSilence(t, guarded)
			if !owned {
				logGaps(t, prober, gaps)
			}
		} else {
			all, meanwhile := prober.count(t, guarded), logGaps(t, prober, gaps)
			if n := all.answered - meanwhile; n > 0 {
				t.Errorf("%d SYNs were answered while the table was there", n)
			}
		}
	})
}

// eachHold runs a test for each way in which a daemon holds its ports against others, which is up to the kernel and
// to own_table.
func eachHold(t *testing.T, test func(t *testing.T, s *lab.Topology, d *unit, prober *prober, hold string)) {
	t.Parallel()
	for _, hold := range []struct {
		name    string
		own     string
		family  lab.Family
		program func(testing.TB) string
		need    func(*unit, *testing.T)
	}{
		{"owned", "auto", lab.IPv4, func(testing.TB) string { return lab.Nftknockd }, (*unit).needOwned},
		{"latched", "auto", lab.IPv4, lab.NftknockdWithoutPersistence, (*unit).needLatch},
		{"unowned", "no", lab.IPv6, func(testing.TB) string { return lab.Nftknockd }, func(*unit, *testing.T) {}},
	} {
		t.Run(hold.name, func(t *testing.T) {
			t.Parallel()
			program := hold.program(t)
			s := newLifeTopology(t, hold.family)
			prober := startProber(t, s, sizeOfLife().tries)
			d := startProgram(t, program, s.Server, lab.WriteConfig(t, fmt.Sprintf("own_table = %q\n%s", hold.own, lifeDoors)))
			d.expectNotice(t, "READY=1")
			hold.need(d, t)
			test(t, s, d, prober, hold.name)
		})
	}
}

// expectOutOfReach lets somebody try to take the table away, and makes sure that it
// was not touched.
func expectOutOfReach(t *testing.T, s *lab.Topology, monitor *monitor, remover remover) {
	t.Helper()
	first := monitor.sync(t, s.Server)
	for _, args := range remover.calls {
		if r := s.Server.Try(t, "nft", args...); (r.Err != nil) != (remover.name == deleteTable.name) {
			t.Errorf("%s: %v\n%s", remover.name, r.Err, r.Stderr)
		}
	}
	last := monitor.sync(t, s.Server)
	for _, x := range monitor.since(t, first)[:last-first] {
		if x.tables[lab.GateTable] {
			t.Errorf("%s has changed the table", x.by)
		}
	}
}

// A gap is a time in which the table was not what it should be.
type gap struct {
	took     time.Duration // from one transaction to the other, as another process hears of them
	from, to int           // the prober's SYNs that were sent meanwhile are among these
}

// expectPutBack takes the table away, and waits until it is back.
func expectPutBack(t *testing.T, s *lab.Topology, monitor *monitor, prober *prober, remover remover) gap {
	t.Helper()
	// A SYN that has been numbered may not have arrived for a while.
	g := gap{from: prober.now()}
	first := monitor.sync(t, s.Server)
	for _, args := range remover.calls {
		s.Server.Run(t, "nft", args...)
	}
	last := monitor.sync(t, s.Server) // all that the remover has done was before

	taken := -1
	for n, x := range monitor.since(t, 0)[:last] {
		if n >= first && x.tables[lab.GateTable] && !x.byDaemon() {
			taken = n // for the last time
		}
	}
	if taken < 0 {
		t.Fatalf("%s has not touched the table: the test proves nothing", remover.name)
	}
	lab.Eventually(t, "the table is back after "+remover.name, func() bool {
		since := monitor.since(t, taken)
		back := slices.IndexFunc(since, transaction.byDaemon)
		if back >= 0 {
			g.took = since[back].at.Sub(since[0].at)
		}
		return back >= 0
	})
	g.to = prober.now()
	const most = 5 * time.Second // far from the goal: the machine may be busy with other tests
	if g.took > most {
		t.Errorf("the table was away for %v", g.took)
	}
	return g
}

// logGaps returns how many of the prober's SYNs were answered in the gaps.
func logGaps(t *testing.T, prober *prober, gaps []gap) int {
	t.Helper()
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.took, b.took) })
	answered, widest := 0, time.Duration(0)
	for _, g := range gaps {
		b := prober.breach(g.from, g.to)
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
		{"nft delete table", func(string) []string { return []string{"nft", "delete", "table", "inet", lab.GateTable} }},
		{"nft flush ruleset", func(string) []string { return []string{"nft", "flush", "ruleset"} }},
		{"nftknockd remove", func(config string) []string { return []string{lab.Nftknockd, "remove", "-c", config} }},
		{"nftknockd remove --table", func(string) []string { return []string{lab.Nftknockd, "remove", "--table", lab.GateTable} }},
	}
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := lab.NewTopology(t, lab.IPv4)
			s.Server.ListenTCP(t, 22)
			config := lab.WriteConfig(t, lab.SSHDoor)
			d := startReady(t, s.Server, config)
			d.needOwned(t)
			args := way.args(config)

			r := s.Server.Try(t, args[0], args[1:]...)
			if strings.HasPrefix(way.name, "nftknockd") {
				const want = "nftknockd: table inet nftknock belongs to another process: stop the nftknockd that is running\n"
				if r.Exit() != 1 || r.Stdout != "" || r.Stderr != want {
					t.Errorf("while the daemon runs: exit status %d, stdout %q, stderr %q; want 1, nothing, %q",
						r.Exit(), r.Stdout, r.Stderr, want)
				}
			}
			s.ExpectShut(t, s.Source, "22", lab.Silent)

			d.Stop(syscall.SIGTERM)
			s.ExpectShut(t, s.Source, "22", lab.Silent)
			s.Server.Run(t, args[0], args[1:]...)
			if listed := s.Server.Ruleset(t); listed != "" {
				t.Errorf("left behind:\n%s", listed)
			}
			s.ExpectOpen(t, s.Source, "22")
		})
	}
}
