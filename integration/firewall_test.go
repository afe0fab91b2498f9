package integration

import (
	"fmt"
	"strings"
	"testing"
)

// firewall makes the server drop what arrives at some TCP ports, as most
// hosts do with ports that nothing listens on. The knocks have been logged by
// then, and whoever sent them gets no answer.
func (s *site) firewall(t testing.TB, ports ...string) {
	t.Helper()
	var script strings.Builder
	script.WriteString("table inet firewall {\n chain input {\n  type filter hook input priority filter;\n")
	for _, p := range ports {
		fmt.Fprintf(&script, "  tcp dport %s counter drop comment %q\n", p, p)
	}
	script.WriteString(" }\n}\n")
	s.server.runWith(t, script.String(), "nft", "-f", "-")
}

// dropped returns how many packets to a port the firewall has dropped.
func (s *site) dropped(t testing.TB, port string) int {
	t.Helper()
	for _, r := range s.server.rules(t) {
		if r.table == "firewall" && strings.Contains(r.text, fmt.Sprintf("comment %q", port)) {
			return r.packets()
		}
	}
	t.Fatalf("the firewall has no rule for port %s", port)
	return 0
}
