package observe

import (
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/status"
)

func TestExplain(t *testing.T) {
	now := time.Now()
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	step := func(seconds, count int, outcome string) event.Event {
		return event.Event{
			Time: ago(seconds), Kind: event.Attempt, Door: "ssh", Source: "203.0.113.7",
			Step: &event.Step{Count: count, Of: 3, Outcome: outcome},
		}
	}
	closing := step(1, 1, "wrong knock")
	closing.Step.Closing = true
	for name, test := range map[string]struct {
		trace status.Trace
		want  []string
	}{
		"nothing": {status.Trace{}, []string{"is not let in", "no knock of it was seen", "SHUT in", "all interfaces but loopback", "no knock of anybody", "tcpdump -ni any host 203.0.113.7"}},
		"others": {
			status.Trace{Heard: 7, LastHeard: ago(3), Interfaces: []string{"eth0"}, Warnings: []string{"there is no interface eth0 now"}},
			[]string{"what arrives at eth0", "there is no interface eth0 now", "7 in all, the latest 3s ago"},
		},
		"in": {
			status.Trace{Grants: []status.Grant{{Door: "ssh", Source: "203.0.113.7", By: "knock", Until: now.Add(time.Minute)}}},
			[]string{"203.0.113.7 is let in", "granted through door ssh until", "other firewall rules"},
		},
		"always": {status.Trace{AlwaysAllowed: "203.0.113.0/24"}, []string{"never needs to knock: 203.0.113.0/24 is in always_allow"}},
		"muted":  {status.Trace{MutedUntil: now.Add(time.Minute)}, []string{"is not let in", "muted until " + event.Until(now.Add(time.Minute))}},
		"failed": {
			status.Trace{
				UnderWay: []event.Event{step(1, 1, "advanced")},
				Failed:   []event.Event{closing, step(4, 2, "wrong knock"), step(5, 0, "wrong knock"), step(6, 2, "too slow")},
			},
			[]string{
				"under way: door ssh, 1 of 3", "wrong knock: door ssh (to close), 1 of 3",
				"door ssh, 2 of 3 of its knocks, and then another one than the next, 4s ago",
				"door ssh, one of its knocks, but not the first, 5s ago", "too slow: door ssh, 2 of 3 of its knocks came within seq_timeout, which was over 6s ago",
			},
		},
		"over": {
			status.Trace{Events: []event.Event{{Kind: event.Granted, Door: "ssh", Time: ago(90), Until: ago(30)}}},
			[]string{"granted through door ssh 1m30s ago", "that is over, knock again"},
		},
		"revoked": {
			status.Trace{Events: []event.Event{
				{Kind: event.Revoked, Door: "ssh", By: "admin", Time: ago(10)},
				{Kind: event.Granted, Door: "ssh", Time: ago(90), Until: now.Add(time.Minute)},
			}},
			[]string{"is not let in\n  revoked at door ssh, by admin, 10s ago"},
		},
		"code": {
			status.Trace{Events: []event.Event{{Kind: event.Refused, Door: "ssh", Text: "the code, or a later one, has opened already", Time: ago(5)}}},
			[]string{"refused at door ssh: the code, or a later one, has opened already, 5s ago"},
		},
	} {
		test.trace.Source = "203.0.113.7"
		got := explain(&test.trace, now)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, got)
			}
		}
	}
}
