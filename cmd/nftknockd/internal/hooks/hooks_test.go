package hooks

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
)

// hook has a runner run a shell script, and returns what that prints.
func hook(t *testing.T, h *Runner, script string, args ...string) *buffer {
	t.Helper()
	out := new(buffer)
	h.Stdout, h.Stderr = out, out
	if err := h.Prepare(append([]string{"sh", "-c", script}, args...)); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHooksAreBounded(t *testing.T) {
	h := Runner{AtOnce: 2, Timeout: time.Minute}
	out := hook(t, &h, `mkdir "$0/$$" && ls "$0" | wc -l && sleep 0.05 && rmdir "$0/$$"`, t.TempDir())
	for range 8 {
		h.Run(t.Context(), event.Event{Kind: event.Granted})
	}
	h.Wait()
	counts := strings.Fields(out.String())
	if len(counts) != 8 || strings.Trim(strings.Join(counts, ""), "12") != "" {
		t.Errorf("as many ran at once: %q, want 8 times 1 or 2", counts)
	}
}

// A program that takes too long is killed with what it has started.
func TestHooksTimeOut(t *testing.T) {
	h := Runner{AtOnce: 1, Timeout: 100 * time.Millisecond}
	out := hook(t, &h, "sleep 1000 & wait")
	h.Run(t.Context(), event.Event{Kind: event.Granted, Door: "ssh"})
	h.Wait()
	if text := out.String(); !strings.Contains(text, "killed: it took longer than 100ms") || !strings.Contains(text, "door ssh") {
		t.Errorf("%q", text)
	}
}

// What a hook is told comes from the event, and from nowhere else.
func TestHooksEnvironment(t *testing.T) {
	t.Setenv("NFTKNOCK_SOURCE", "inherited")
	h := Runner{AtOnce: 1, Timeout: time.Minute}
	out := hook(t, &h, `env | grep ^NFTKNOCK_ | sort; cat`)
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.Run(t.Context(), event.Event{Kind: event.Lost, Time: when, Count: 7, Text: "$(reboot)\nx"})
	h.Wait()
	const want = `NFTKNOCK_BY=
NFTKNOCK_COUNT=7
NFTKNOCK_DOOR=
NFTKNOCK_KEY=
NFTKNOCK_KIND=lost
NFTKNOCK_SOURCE=
NFTKNOCK_TEXT=?(reboot) x
NFTKNOCK_TIME=2026-01-02T03:04:05Z
NFTKNOCK_UNTIL=
{"time":"2026-01-02T03:04:05Z","kind":"lost","count":7,"text":"?(reboot) x"}
`
	if text := out.String(); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// An event with a field that is not what it should be starts nothing.
func TestHooksAreGivenCheckedFields(t *testing.T) {
	h := Runner{AtOnce: 1, Timeout: time.Minute}
	out := hook(t, &h, "echo started")
	for _, e := range []event.Event{
		{Kind: "granted; reboot"},
		{Kind: event.Granted, Door: "$(reboot)"},
		{Kind: event.Granted, Door: "ssh", Source: "203.0.113.7; reboot"},
		{Kind: event.Granted, Door: "ssh", Source: "fe80::1%`reboot`"},
		{Kind: event.Granted, Door: "ssh", Source: "203.0.113.7", By: "\x1b[2J"},
		{Kind: event.Reloaded, Doors: []string{"ssh", "a b"}},
	} {
		h.Run(t.Context(), e)
		h.Wait()
		if text := out.String(); strings.Contains(text, "started") || !strings.Contains(text, "no program is run: ") {
			t.Errorf("%+v: %q", e, text)
		}
		out.reset()
	}
	for _, source := range []string{"203.0.113.7", "2001:db8::/64", "fe80::1%eth0"} {
		h.Run(t.Context(), event.Event{Kind: event.Granted, Door: "ssh", Source: source, By: event.ByKnock})
		h.Wait()
		if text := out.String(); text != "started\n" {
			t.Errorf("%s: %q", source, text)
		}
		out.reset()
	}
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *buffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}
