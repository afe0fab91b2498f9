package lab

import (
	"fmt"
	"strings"
	"testing"
)

// Firewall makes the server drop what arrives at some TCP ports, as most
// hosts do with ports that nothing listens on. The knocks have been logged by
// then, and whoever sent them gets no answer.
func (s *Topology) Firewall(t testing.TB, ports ...string) {
	t.Helper()
	var script strings.Builder
	script.WriteString("table inet firewall {\n chain input {\n  type filter hook input priority filter;\n")
	for _, p := range ports {
		fmt.Fprintf(&script, "  tcp dport %s counter drop comment %q\n", p, p)
	}
	script.WriteString(" }\n}\n")
	s.Server.RunWith(t, script.String(), "nft", "-f", "-")
}

// Dropped returns how many packets to a port the firewall has dropped.
func (s *Topology) Dropped(t testing.TB, port string) int {
	t.Helper()
	for _, r := range s.Server.Rules(t) {
		if r.Table == "firewall" && strings.Contains(r.Text, fmt.Sprintf("comment %q", port)) {
			return r.Packets()
		}
	}
	t.Fatalf("the firewall has no rule for port %s", port)
	return 0
}
