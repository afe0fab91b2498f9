package hooks

import (
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/control"
)

// hook returns hooks that run a shell script, and what they print.
func hook(t *testing.T, h *hooks, script string, args ...string) *logBuffer {
	t.Helper()
	out := new(logBuffer)
	h.stdout, h.stderr = out, out
	if err := h.prepare(append([]string{"sh", "-c", script}, args...)); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHooksAreBounded(t *testing.T) {
	h := hooks{atOnce: 2, timeout: time.Minute}
	out := hook(t, &h, `mkdir "$0/$$" && ls "$0" | wc -l && sleep 0.05 && rmdir "$0/$$"`, t.TempDir())
	for range 8 {
		h.run(t.Context(), control.Event{Kind: control.LetIn})
	}
	h.wait()
	counts := strings.Fields(string(out.text()))
	if len(counts) != 8 || strings.Trim(strings.Join(counts, ""), "12") != "" {
		t.Errorf("as many ran at once: %q, want 8 times 1 or 2", counts)
	}
}

// A program that takes too long is killed with what it has started.
func TestHooksTimeOut(t *testing.T) {
	h := hooks{atOnce: 1, timeout: 100 * time.Millisecond}
	out := hook(t, &h, "sleep 1000 & wait")
	h.run(t.Context(), control.Event{Kind: control.LetIn, Door: "ssh"})
	h.wait()
	if text := string(out.text()); !strings.Contains(text, "killed: it took longer than 100ms") || !strings.Contains(text, "door ssh") {
		t.Errorf("%q", text)
	}
}

// What a hook is told comes from the event, and from nowhere else.
func TestHooksEnvironment(t *testing.T) {
	t.Setenv("NFTKNOCK_SOURCE", "inherited")
	h := hooks{atOnce: 1, timeout: time.Minute}
	out := hook(t, &h, `env | grep ^NFTKNOCK_ | sort; cat`)
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h.run(t.Context(), control.Event{Kind: control.Lost, Time: when, Count: 7, Text: "$(reboot)\nx"})
	h.wait()
	const want = `NFTKNOCK_BY=
NFTKNOCK_COUNT=7
NFTKNOCK_DOOR=
NFTKNOCK_KIND=lost
NFTKNOCK_SOURCE=
NFTKNOCK_TEXT=$(reboot)
NFTKNOCK_TIME=2026-01-02T03:04:05Z
NFTKNOCK_UNTIL=
{"time":"2026-01-02T03:04:05Z","kind":"lost","count":7,"text":"$(reboot)\nx"}
`
	if text := string(out.text()); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}
