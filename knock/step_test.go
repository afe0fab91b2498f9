package knock

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// show writes a step as watch would.
func (s Step) show() string {
	if s.Outcome == Ignored {
		return fmt.Sprintf("%s: %s", s.Source, s.Outcome)
	}
	return fmt.Sprintf("%s %s: %d of %d, %s", s.Door.Name, s.Action, s.Count, s.Of, s.Outcome)
}

func TestWatch(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000 9000", "9000 8000 7000"))
	var seen []string
	k.tracker.Watch(func(s Step) { seen = append(seen, s.show()) })
	for _, test := range []struct {
		wait  time.Duration
		ports string
		want  string
	}{
		{0, "7000 8000 9000", "ssh grant: 1 of 3, advanced; ssh grant: 2 of 3, advanced; ssh grant: 3 of 3, advanced"},
		{0, "9000", "ssh revoke: 1 of 3, advanced"},
		{0, "8000 7000", "ssh revoke: 2 of 3, advanced; ssh grant: 1 of 3, advanced; ssh revoke: 3 of 3, advanced"},
		{0, "9000", "ssh grant: 1 of 3, wrong knock; ssh revoke: 1 of 3, advanced"},
		{time.Minute, "8000", "ssh revoke: 1 of 3, too slow; ssh grant: 0 of 3, wrong knock"},
		{0, "7000 8000", "ssh grant: 1 of 3, advanced; ssh grant: 2 of 3, advanced"},
		{time.Minute, "9000", "ssh grant: 2 of 3, too slow; ssh revoke: 1 of 3, advanced"},
		{0, "7500", ""}, // the event says that
		{0, "7000", "192.0.2.1: muted"},
		{0, "22", ""},
	} {
		k.now = k.now.Add(test.wait)
		seen = nil
		k.knock("192.0.2.1", test.ports)
		if got := strings.Join(seen, "; "); got != test.want {
			t.Errorf("%s after %v\ngot  %s\nwant %s", test.ports, test.wait, got, test.want)
		}
	}
	k.tracker.Watch(nil)
	seen = nil
	k.knock("192.0.2.2", "7000")
	if seen != nil {
		t.Errorf("nobody watches, but %v", seen)
	}
}

func TestTrace(t *testing.T) {
	k := newKnocker(t, door("ssh", "7000 8000 9000", ""))
	ann := netip.MustParseAddr("192.0.2.1")
	show := func() string {
		trace := k.tracker.Trace(k.now, ann)
		var all []string
		if !trace.MutedUntil.IsZero() {
			all = append(all, fmt.Sprint("muted for ", trace.MutedUntil.Sub(k.now)))
		}
		for _, s := range trace.UnderWay {
			all = append(all, s.show())
		}
		for _, s := range trace.Failed {
			all = append(all, fmt.Sprintf("%s %v ago", s.show(), k.now.Sub(s.Time)))
		}
		return strings.Join(all, "; ")
	}
	check := func(want string) {
		t.Helper()
		if got := show(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check("")
	k.knock(ann.String(), "7000 7000 8000")
	check("ssh grant: 2 of 3, advanced; ssh grant: 1 of 3, advanced")
	k.now = k.now.Add(time.Second)
	k.knock(ann.String(), "8000 8000 7000")
	k.now = k.now.Add(time.Second)
	check("ssh grant: 1 of 3, advanced; ssh grant: 2 of 3, wrong knock 1s ago")
	// It runs out of time, and nothing more comes; a stranger does.
	k.now = k.now.Add(20 * time.Second)
	check("ssh grant: 1 of 3, too slow 6s ago; ssh grant: 2 of 3, wrong knock 21s ago")
	k.knock("198.51.100.1", "7000")
	check("ssh grant: 1 of 3, too slow 6s ago; ssh grant: 2 of 3, wrong knock 21s ago")
	// A flood of strangers does not erase those who were further on.
	k.knock(ann.String(), "7000 8000 8000")
	stranger := netip.MustParseAddr("198.51.100.1")
	for range 2 * failures {
		stranger = stranger.Next()
		k.knock(stranger.String(), "8000")
	}
	check("ssh grant: 2 of 3, wrong knock 0s ago; ssh grant: 2 of 3, wrong knock 21s ago")
	k.knock(ann.String(), "7500")
	k.now = k.now.Add(time.Second)
	check("muted for 59s; ssh grant: 2 of 3, wrong knock 1s ago; ssh grant: 2 of 3, wrong knock 22s ago")
	if !k.tracker.Unmute(k.now, ann).IsValid() || k.tracker.Unmute(k.now, ann).IsValid() {
		t.Error("to unmute must be done once")
	}
	k.expect(ann.String(), "7000 8000 9000", Grant)
}
