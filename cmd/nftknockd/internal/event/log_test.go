package event_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/journal"
	"nftknock/config"
)

// The filter finds those whom the daemon has refused, and nobody else: a scan takes a single
// packet, whose source may be made up.
func TestFail2ban(t *testing.T) {
	program, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		t.Skip("fail2ban is not installed")
	}
	for _, format := range []config.LogFormat{config.Text, config.JSON} {
		t.Run(string(format), func(t *testing.T) {
			var out bytes.Buffer
			log := journal.New(&out, format)
			event.Log(log, event.Event{Kind: event.Granted, Door: "ssh", Source: "198.51.100.1", By: event.ByKnock})
			event.Log(log, event.Event{Kind: event.Refused, Door: "ssh", Source: "203.0.113.7", Text: "scan source=198.51.100.2"})
			event.Log(log, event.Event{Kind: event.Scan, Source: "203.0.113.8"})
			event.Log(log, event.Event{Kind: event.Scan, Source: "2001:db8::7"})
			event.Log(log, event.Event{Kind: event.Revoked, Door: "scan", Source: "198.51.100.3", By: event.ByAdmin})
			log.Warn("msg=scan source=198.51.100.4")

			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := exec.Command(program, "--out", "ip", path, "../../../../systemd/fail2ban/nftknockd.conf").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, found)
			}
			if got, want := strings.Fields(string(found)), "[203.0.113.7]"; fmt.Sprint(got) != want {
				t.Errorf("it finds %v, want %v in\n%s", got, want, &out)
			}
		})
	}
}

// An event becomes a line whose message is its kind.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, test := range []struct {
		event event.Event
		want  string
	}{
		{event.Event{Kind: event.Granted, Door: "ssh", Source: "203.0.113.7", By: event.ByKnock},
			`msg=granted door=ssh source=203.0.113.7 by=knock until=revoked`},
		{event.Event{Kind: event.Granted, Door: "ssh", Source: "203.0.113.7", By: event.ByAdmin, Until: time.Unix(0, 0).UTC()},
			`msg=granted door=ssh source=203.0.113.7 by=admin until=1970-01-01T00:00:00Z`},
		{event.Event{Kind: event.Refused, Door: "ssh", Source: "203.0.113.7", Text: "a spent code"},
			`msg=refused door=ssh source=203.0.113.7 why="a spent code"`},
		{event.Event{Kind: event.Scan, Source: "2001:db8::7", Until: time.Unix(0, 0).UTC()},
			`msg=scan source=2001:db8::7 until=1970-01-01T00:00:00Z`},
		{event.Event{Kind: event.Expired, Door: "ssh", Source: "203.0.113.7"}, ``},
		{event.Event{Kind: event.Reloaded, Doors: []string{"a", "b"}}, `msg=reloaded doors=2`},
	} {
		out.Reset()
		event.Log(log, test.event)
		if _, got, _ := strings.Cut(strings.TrimSpace(out.String()), "level=INFO "); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}

func TestLinesCount(t *testing.T) {
	for want, e := range map[string]event.Event{
		"1 message of the kernel's packet log so far":  {Kind: event.Lost, Count: 1},
		"2 messages of the kernel's packet log so far": {Kind: event.Lost, Count: 2},
		"1 event: too many came at once":               {Kind: event.Missed, Count: 1},
		"2 events: too many came at once":              {Kind: event.Missed, Count: 2},
		"1 step of attempts: too many came at once":    {Kind: event.LeftOut, Count: 1},
	} {
		if got := e.Line(); !strings.HasSuffix(got, " "+want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
