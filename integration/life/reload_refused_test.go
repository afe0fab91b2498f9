package life

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/integration/lab"
)

// TestReloadRefused reloads with what cannot be put in force: the log says why,
// nothing changes, and the next good configuration is taken.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	const good = lab.SSHDoor + mailDoor
	tests := []struct {
		name    string
		prepare func(t *testing.T, h *lab.Host) // nil: nothing
		config  string
		says    [][]string // the words of a line each
	}{
		{
			name:   "not TOML",
			config: "[door.ssh\n",
			says:   [][]string{{"nftknockd.toml:2", "end table name"}},
		},
		{
			name:   "several errors",
			config: "[door.ssh]\nports = [0]\nsequence = [7214, 8391]\nseq_timeout = \"0s\"\nunheard_of = 1\n",
			says: [][]string{
				{"ports", "door ssh"},
				{"seq_timeout", "door ssh"},
				{"unheard_of", "door ssh"},
			},
		},
		{
			name:   "two doors with one sequence",
			config: lab.SSHDoor + strings.Replace(lab.SSHDoor, "door.ssh", "door.mail", 1),
			says: [][]string{
				{"door ssh", "sequence of door mail"},
				{"door mail", "sequence of door ssh"},
			},
		},
		{
			name:   "another table",
			config: "table = \"portier\"\n" + good,
			says:   [][]string{{"`table`", "nftknockd remove"}},
		},
		{
			name:   "owned or not",
			config: "own_table = \"no\"\n" + good,
			says:   [][]string{{"`own_table`", "nftknockd remove"}},
		},
		{
			name:   "log group taken",
			config: "nflog_group = 77\n" + good,
			prepare: func(t *testing.T, h *lab.Host) {
				lab.StartDaemon(t, h, "table = \"other\"\nnflog_group = 77\n"+lab.SSHDoor)
			},
			says: [][]string{{"another program uses NFLOG group 77", "nflog_group"}},
		},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := lab.NewTopology(t, lifeWays[i%len(lifeWays)].family)
			s.Server.ListenTCP(t, 22)
			if test.prepare != nil {
				test.prepare(t, s.Server)
			}
			d := startReady(t, s.Server, lab.WriteConfig(t, good))
			s.Knock(t, s.Neighbour, lab.SSHSequence[:1]...)
			monitor := startMonitor(t, s.Server)
			before := listGate(t, s.Server)

			d.reload(t, test.config)
			for _, words := range test.says {
				lab.ExpectLine(t, d.Daemon, append(words, "reload refused", "the old configuration stays in force")...)
			}
			if n := strings.Count(d.Log(), "reload refused"); n != len(test.says) {
				t.Errorf("%d lines about the refusal, want %d:\n%s", n, len(test.says), d.Log())
			}
			if diff := cmp.Diff(before, listGate(t, s.Server)); diff != "" {
				t.Errorf("the table has changed (-before +after):\n%s", diff)
			}
			monitor.sync(t, s.Server)
			if n := countByDaemon(monitor.since(t, 0)); n != 0 {
				t.Errorf("the table was changed %d times", n)
			}
			lab.ExpectSecret(t, d.Daemon, append(lab.SSHSequence, mailSequence...))

			// The old one is in force, and counts what was knocked before.
			s.Knock(t, s.Neighbour, lab.SSHSequence[1:]...)
			s.ExpectOpen(t, s.Neighbour, "22")
			s.ExpectShut(t, s.Source, "22", lab.Silent)

			d.reload(t, lab.SSHDoor)
			lab.ExpectLine(t, d.Daemon, "msg=reloaded")
			s.ExpectOpen(t, s.Neighbour, "22")
		})
	}
}

// listGate returns the gate's table, but for what was counted, whose rate is known and what is up.
func listGate(t *testing.T, h *lab.Host) string {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(lab.Counters.ReplaceAllString(h.Run(t, "nft", "list", "table", "inet", lab.GateTable), "counter")) {
		rate := strings.Contains(line, "limit rate over") && !strings.Contains(line, "update @")
		if !rate && !strings.Contains(line, " . tcp ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
