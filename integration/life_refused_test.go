package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReloadRefused reloads with what cannot be put in force: the log says why,
// nothing changes, and the next good configuration is taken.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	const good = sshDoor + mailDoor
	tests := []struct {
		name    string
		prepare func(t *testing.T, h *host) // nil: nothing
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
			config: sshDoor + strings.Replace(sshDoor, "door.ssh", "door.mail", 1),
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
			prepare: func(t *testing.T, h *host) {
				startDaemon(t, h, "table = \"other\"\nnflog_group = 77\n"+sshDoor)
			},
			says: [][]string{{"another program uses NFLOG group 77", "nflog_group"}},
		},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, lifeWays[i%len(lifeWays)].family)
			s.server.listenTCP(t, 22)
			if test.prepare != nil {
				test.prepare(t, s.server)
			}
			d := startReady(t, s.server, writeConfig(t, good))
			s.knock(t, s.neighbour, sshSequence[:1]...)
			scribe := startScribe(t, s.server)
			before := s.server.listGate(t)

			d.reload(t, test.config)
			for _, words := range test.says {
				expectLine(t, d.daemon, append(words, "reload refused", "the old configuration stays in force")...)
			}
			if n := strings.Count(d.log(), "reload refused"); n != len(test.says) {
				t.Errorf("%d lines about the refusal, want %d:\n%s", n, len(test.says), d.log())
			}
			if diff := cmp.Diff(before, s.server.listGate(t)); diff != "" {
				t.Errorf("the table has changed (-before +after):\n%s", diff)
			}
			scribe.sync(t, s.server)
			if n := countByDaemon(scribe.since(t, 0)); n != 0 {
				t.Errorf("the table was changed %d times", n)
			}
			expectSecret(t, d.daemon, append(sshSequence, mailSequence...))

			// The old one is in force, and counts what was knocked before.
			s.knock(t, s.neighbour, sshSequence[1:]...)
			s.expectOpen(t, s.neighbour, "22")
			s.expectShut(t, s.person, "22", silent)

			d.reload(t, sshDoor)
			expectLine(t, d.daemon, "msg=reloaded")
			s.expectOpen(t, s.neighbour, "22")
		})
	}
}

// listGate returns the gate's table, but for what was counted and whose rate is known.
func (h *host) listGate(t *testing.T) string {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(counters.ReplaceAllString(h.run(t, "nft", "list", "table", "inet", gateTable), "counter")) {
		if !strings.Contains(line, "limit rate over") || strings.Contains(line, "update @") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
