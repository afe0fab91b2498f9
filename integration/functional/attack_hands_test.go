package functional

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestTampering has somebody change a table that the daemon does not own, in every part of it.
// Each time that is noticed, said, and put back: on a machine at rest within a second.
func TestTampering(t *testing.T) {
	const config = `
own_table    = "no"
always_allow = ["192.0.2.0/24", "2001:db8::/32"]
interfaces   = ["net1"]
` + lab.NoDecoys + `
[door.ssh]
ports    = [22, 2222, "51820:udp"]
sequence = [7214, "8391:udp", 6127]
`
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ServeBanner(t, 22)
	d := lab.StartDaemon(t, s.Server, config)
	s.ExpectShut(t, s.Source, "22", lab.Silent)
	before := listTable(t, s.Server)
	hands := tampering(before)
	if len(hands) < 30 {
		t.Fatalf("%d ways to change the table, the listing is not understood:\n%s", len(hands), before)
	}
	var longest time.Duration
	tampered := 0
	for _, hand := range hands {
		logged := len(d.Log())
		script := strings.ReplaceAll(hand, "TABLE", "inet "+lab.GateTable)
		if h, found := strings.CutPrefix(script, "RULE "); found {
			script = firstRule(t, s.Server, h)
		}
		start := time.Now()
		if r := s.Server.TryWith(t, script+"\n", "nft", "-f", "-"); r.Err != nil {
			continue // such as deleting a chain that is used
		}
		tampered++
		limit := start.Add(soon)
		for listTable(t, s.Server) != before {
			if time.Now().After(limit) {
				t.Errorf("%s: not put back after %v:\n%s", hand, soon, difference(before, listTable(t, s.Server)))
				break
			}
			time.Sleep(lab.PollInterval / 4)
		}
		took := time.Since(start)
		longest = max(longest, took)
		if listTable(t, s.Server) != before {
			// The next hand gets a table as it should be.
			s.Server.Try(t, "nft", "delete", "table", "inet", lab.GateTable)
			waitGuarding(t, s)
			lab.Eventually(t, "the table is as it was", func() bool { return listTable(t, s.Server) == before })
			continue
		}
		for deadline := time.Now().Add(soon); !strings.Contains(d.Log()[logged:], "level=WARN"); time.Sleep(lab.PollInterval) {
			if time.Now().After(deadline) {
				t.Errorf("%s: the daemon does not say that somebody has changed its table", hand)
				break
			}
		}
	}
	t.Logf("%d changes, the slowest was put back after %v", tampered, longest)
	s.ExpectShut(t, s.Source, "22", lab.Silent)
	s.Knock(t, s.Source, "7214", "8391:udp", "6127")
	s.ExpectOpen(t, s.Source, "22")
}

// soon is how long a change may last on a machine that is busy with other tests.
const soon = 10 * time.Second

// changing is what moves by itself in a listing.
var changing = regexp.MustCompile(`packets \d+ bytes \d+|expires [0-9a-z]+|# handle \d+`)

// listTable lists the gate's table, but for what moves by itself. In what order its sets and
// chains stand is of no consequence.
func listTable(t testing.TB, h *lab.Host) string {
	t.Helper()
	r := h.Try(t, "nft", "list", "table", "inet", lab.GateTable)
	const end = "\n\t}\n" // of a set, or of a chain
	_, body, _ := strings.Cut(changing.ReplaceAllString(r.Stdout, ""), "{\n")
	objects := strings.SplitAfter(strings.TrimSuffix(body, "}\n"), end)
	for i := range objects {
		objects[i] = strings.TrimLeft(objects[i], "\n")
	}
	slices.Sort(objects)
	return strings.Join(objects, "")
}

// tampering returns what somebody may do to a table: nft scripts in which TABLE is the table.
func tampering(listing string) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	var kind, name string
	chains := 0
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case len(words) == 3 && words[2] == "{" && slices.Contains([]string{"set", "map", "chain", "counter"}, words[0]):
			kind, name = words[0], words[1]
			switch kind {
			case "chain":
				add("flush chain TABLE %s", name)
				if chains++; chains > 4 {
					break // one chain is like another: for the rest of them that is enough
				}
				add("insert rule TABLE %s accept", name)
				add("add rule TABLE %s accept", name)
				add("insert rule TABLE %s tcp dport 22 accept comment \"door ssh: let in\"", name)
				add("RULE %s", name)
			case "counter":
				add("delete counter TABLE %s", name)
			}
		case strings.HasPrefix(line, "type filter hook") && kind == "chain":
			add("add chain TABLE %s { policy drop; }", name)
		case strings.HasPrefix(line, "elements = {") && !isRate(name):
			add("flush %s TABLE %s", kind, name)
			element := strings.Trim(strings.Split(strings.TrimPrefix(line, "elements = {"), ",")[0], " }")
			add("delete element TABLE %s { %s }", name, element)
		}
	}
	add("add element TABLE always_allow4 { 10.1.0.0/24 }")
	add("add element TABLE always_allow6 { fd00::/16 }")
	add("add element TABLE interfaces { \"net9\" }")
	add("add element TABLE ports { 23 }")
	add("add table TABLE { flags dormant; }")
	add("add chain TABLE foreign")
	add("add chain TABLE foreign { type filter hook prerouting priority -300; }\nadd rule TABLE foreign accept")
	add("add set TABLE foreign { type inet_service; }")
	add("add map TABLE foreign { type inet_service : verdict; }")
	add("add counter TABLE foreign")
	add("add quota TABLE foreign { over 10 mbytes }")
	add("add ct helper TABLE foreign { type \"ftp\" protocol tcp; }")
	add("delete table TABLE")
	add("flush table TABLE")
	add("flush ruleset")
	return all
}

// isRate reports whether a set is one that packets write, and which may be emptied by anybody.
func isRate(set string) bool {
	return strings.HasPrefix(set, "loud") || strings.HasPrefix(set, "knock_rate")
}

// firstRule returns the script that deletes the first rule of a chain.
func firstRule(t testing.TB, h *lab.Host, chain string) string {
	t.Helper()
	listing := h.Try(t, "nft", "-a", "list", "chain", "inet", lab.GateTable, chain).Stdout
	for line := range strings.Lines(listing) {
		_, handle, found := strings.Cut(line, "# handle ")
		if found && !strings.Contains(line, "{ #") && !strings.Contains(line, "type filter") {
			return fmt.Sprintf("delete rule inet %s %s handle %s", lab.GateTable, chain, strings.TrimSpace(handle))
		}
	}
	return "no rule"
}

// difference returns the lines that one listing has and the other has not.
func difference(want, got string) string {
	var b strings.Builder
	was, is := slices.Collect(strings.Lines(want)), slices.Collect(strings.Lines(got))
	for _, line := range was {
		if !slices.Contains(is, line) {
			b.WriteString("- " + line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}
