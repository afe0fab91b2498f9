package functional

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/integration/lab"
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
			h := lab.NewHost(t, "server")
			lab.StartDaemonFile(t, h, filepath.Join("testdata", name+".toml"))
			got := h.Ruleset(t)

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
			if got != string(want) { // another nft may print it differently: as it prints the golden one
				fresh := lab.NewHost(t, "another server")
				fresh.RunWith(t, longFlags(string(want)), "nft", "-f", "-")
				want = []byte(fresh.Ruleset(t))
			}
			if diff := cmp.Diff(implied.Replace(string(want)), implied.Replace(got)); diff != "" {
				t.Errorf("nft list ruleset (-want +got); go test -update takes what is got:\n%s", diff)
			}
			if strings.Contains(got, "@nh,") || strings.Contains(got, "@th,") {
				t.Error("a rule has a raw payload expression")
			}
			for _, r := range h.Rules(t) {
				if !strings.Contains(r.Text, "comment ") {
					t.Errorf("a rule of chain %s has no comment: %s", r.Chain, r.Text)
				}
			}
		})
	}
}

// implied is what nft 0.9.8 lists at times though what follows implies it.
var implied = strings.NewReplacer("meta nfproto ipv4 ip ", "ip ", "meta nfproto ipv6 ip6 ", "ip6 ")

var shortFlags = regexp.MustCompile(`tcp flags (?:(!= )?([a-z,]+) / ([a-z,]+)|! ([a-z,]+))`)

// longFlags writes matches of TCP's flags as any nft reads them; nft before 1.0 has no short form.
func longFlags(listing string) string {
	bits := func(list string) string { return "(" + strings.ReplaceAll(list, ",", " | ") + ")" }
	return shortFlags.ReplaceAllStringFunc(listing, func(match string) string {
		m := shortFlags.FindStringSubmatch(match)
		switch not, flags, mask, none := m[1], m[2], m[3], m[4]; {
		case none != "":
			return "tcp flags & " + bits(none) + " == 0"
		case not != "":
			return "tcp flags & " + bits(mask) + " != " + bits(flags)
		default:
			return "tcp flags & " + bits(mask) + " == " + bits(flags)
		}
	})
}

// TestPasteBack gives the table back to nft: what the kernel lists, and what
// nftknockd prints, which makes the table that nftknockd installs.
func TestPasteBack(t *testing.T) {
	t.Parallel()
	for _, name := range goldenConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := filepath.Join("testdata", name+".toml")
			h, fresh := lab.NewHost(t, "server"), lab.NewHost(t, "another server")
			lab.StartDaemonFile(t, h, config)

			listed := h.Run(t, "nft", "list", "ruleset")
			h.RunWith(t, listed, "nft", "-c", "-f", "-")
			fresh.RunWith(t, listed, "nft", "-c", "-f", "-")

			script := fresh.Run(t, lab.Nftknockd, "ruleset", "-c", config)
			fresh.RunWith(t, script, "nft", "-c", "-f", "-")
			if made := fresh.Ruleset(t); made != "" {
				t.Fatalf("nftknockd ruleset and nft -c have made:\n%s", made)
			}
			fresh.RunWith(t, script, "nft", "-f", "-")
			if diff := cmp.Diff(h.Ruleset(t), fresh.Ruleset(t)); diff != "" {
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
	h := lab.NewHost(t, "server")
	monitor := h.Start(t, "nft", "monitor")
	lab.Eventually(t, "nft monitor is at work", func() bool {
		h.Run(t, "nft", "add", "table", "inet", "marker")
		h.Run(t, "nft", "delete", "table", "inet", "marker")
		return strings.Contains(monitor.Out.String(), "delete table inet marker")
	})

	// The monitor numbers threads and not processes, but it tells the name.
	name := filepath.Base(lab.Nftknockd)
	byDaemon := fmt.Sprintf("(%s)\n", name[:min(len(name), 15)])
	for _, round := range []string{"first start", "start after a kill"} {
		before := strings.Count(monitor.Out.String(), byDaemon)
		d := lab.StartDaemonFile(t, h, filepath.Join("testdata", "rich.toml"))
		end := "end_of_" + strings.ReplaceAll(round, " ", "_")
		h.Run(t, "nft", "add", "table", "inet", end)
		lab.Eventually(t, "nft monitor has seen the start", func() bool {
			return strings.Contains(monitor.Out.String(), end)
		})
		if n := strings.Count(monitor.Out.String(), byDaemon) - before; n != 1 {
			t.Errorf("%s: %d transactions, and it should be one", round, n)
		}
		d.Stop(os.Kill)
	}
}
