package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenConfigs are the files in testdata whose tables are listed there too.
var goldenConfigs = []string{"one_door", "rich"}

// TestListing compares the table with golden listings, which are to be read by
// people: that is what they are for.
func TestListing(t *testing.T) {
	t.Parallel()
	for _, name := range goldenConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "server")
			startDaemonFile(t, h, filepath.Join("testdata", name+".toml"))
			got := h.listRuleset(t)

			golden := filepath.Join("testdata", name+".nft")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("nft list ruleset (-want +got); go test -update takes what is got:\n%s", diff)
			}
			if strings.Contains(got, "@nh,") || strings.Contains(got, "@th,") {
				t.Error("a rule has a raw payload expression")
			}
			for _, r := range h.rules(t) {
				if !strings.Contains(r.text, "comment ") {
					t.Errorf("a rule of chain %s has no comment: %s", r.chain, r.text)
				}
			}
		})
	}
}

// TestPasteBack gives the table back to nft: what the kernel lists, and what
// nftknockd prints, which makes the table that nftknockd installs.
func TestPasteBack(t *testing.T) {
	t.Parallel()
	for _, name := range goldenConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := filepath.Join("testdata", name+".toml")
			h, fresh := newHost(t, "server"), newHost(t, "another server")
			startDaemonFile(t, h, config)

			listed := h.run(t, "nft", "list", "ruleset")
			h.runWith(t, listed, "nft", "-c", "-f", "-")
			fresh.runWith(t, listed, "nft", "-c", "-f", "-")

			script := fresh.run(t, program, "ruleset", "-c", config)
			fresh.runWith(t, script, "nft", "-c", "-f", "-")
			if made := fresh.listRuleset(t); made != "" {
				t.Fatalf("nftknockd ruleset and nft -c have made:\n%s", made)
			}
			fresh.runWith(t, script, "nft", "-f", "-")
			if diff := cmp.Diff(h.listRuleset(t), fresh.listRuleset(t)); diff != "" {
				t.Errorf("the table of run (-) and that of ruleset (+):\n%s", diff)
			}
		})
	}
}

// TestOneTransaction watches the kernel while the daemon starts, on a host
// without a table of its, and on one with the table of a daemon that was
// killed.
func TestOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHost(t, "server")
	monitor := h.start(t, "nft", "monitor")
	eventually(t, "nft monitor is at work", func() bool {
		h.run(t, "nft", "add", "table", "inet", "marker")
		h.run(t, "nft", "delete", "table", "inet", "marker")
		return strings.Contains(monitor.out.String(), "delete table inet marker")
	})

	// The monitor numbers threads and not processes, but it tells the name.
	name := filepath.Base(program)
	byDaemon := fmt.Sprintf("(%s)\n", name[:min(len(name), 15)])
	for _, round := range []string{"first start", "start after a kill"} {
		before := strings.Count(monitor.out.String(), byDaemon)
		d := startDaemonFile(t, h, filepath.Join("testdata", "rich.toml"))
		end := "end_of_" + strings.ReplaceAll(round, " ", "_")
		h.run(t, "nft", "add", "table", "inet", end)
		eventually(t, "nft monitor has seen the start", func() bool {
			return strings.Contains(monitor.out.String(), end)
		})
		if n := strings.Count(monitor.out.String(), byDaemon) - before; n != 1 {
			t.Errorf("%s: %d transactions, and it should be one", round, n)
		}
		d.stop(os.Kill)
	}
}

var counters = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// listRuleset returns what nft list ruleset prints, but for what was counted.
func (h *host) listRuleset(t testing.TB) string {
	t.Helper()
	return counters.ReplaceAllString(h.run(t, "nft", "list", "ruleset"), "counter packets 0 bytes 0")
}
