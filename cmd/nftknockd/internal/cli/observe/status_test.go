package observe

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/status"
)

// However long what there is to show, it fits a terminal.
func TestStatusIsNarrow(t *testing.T) {
	now := time.Now()
	longest := netip.MustParseAddr("2001:db8:aaaa:bbbb:cccc:dddd:eeee:7777").String()
	s := &status.Status{
		Running: true, Exists: true, Owned: true, Table: "nftknock",
		Daemon: &status.Daemon{Uptime: 1e8, InProgress: 262144, Muted: 262144, MessagesLost: 1e6, Decoys: slices.Repeat([]string{"51820:udp"}, 70)},
		Doors: []status.Door{{
			Name: "abcdefghijklmnop", Granted: 1e9, Shut: 1e12,
			Ports: strings.Split(strings.Repeat("51820:udp,", 20), ","),
		}},
		Grants: []status.Grant{
			{Door: "abcdefghijklmnop", Source: longest, By: "knock", Since: now.Add(-99 * 24 * time.Hour), Until: now.Add(99 * 24 * time.Hour)},
			{Door: "ssh", Source: "203.0.113.7", By: "\x1b[2Jlong comment of somebody's"},
		},
	}
	for range 30 {
		s.Daemon.MutedSources = append(s.Daemon.MutedSources, status.MutedSource{Source: "2001:db8:aaaa:bbbb::/64", Until: now.Add(24 * time.Hour)})
	}
	var out bytes.Buffer
	if err := printStatus(&out, s, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\n… and 262124 more\n") {
		t.Errorf("it does not count the muted:\n%s", &out)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := len([]rune(line)); n > 80 || strings.TrimRight(line, " ") != line || regexp.MustCompile(`[^ -~…]`).MatchString(line) {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
