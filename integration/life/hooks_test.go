package life

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestHooksKilled kills the daemon and what runs its hooks, each at any moment, while grants
// are made. Every grant that was answered some time before a kill of the daemon's reaches its
// hook at least once.
func TestHooksKilled(t *testing.T) {
	t.Parallel()
	const recorded = 100 * time.Millisecond // after its answer, at the latest, an event is in the journal
	h := lab.NewHost(t, "server")
	ran := filepath.Join(t.TempDir(), "ran")
	config := lab.WriteConfig(t, lab.SSHDoor+fmt.Sprintf("[hook.ran]\nrun = [\"/bin/sh\", \"-c\", 'echo {source} >>\"$0\"', %q]\n", ran))
	socket, state := lab.NewSocket(t), t.TempDir()
	start := func() *lab.Daemon { return lab.StartDaemonAt(t, h, config, socket) }
	d := start()
	hooks := lab.StartHooks(t, d, state)

	var mu sync.Mutex
	answered := make(map[string]time.Time)
	ctx, stop := context.WithCancel(t.Context())
	var opening sync.WaitGroup
	opening.Go(func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		for i := 0; ctx.Err() == nil; i++ {
			source := fmt.Sprintf("10.7.%d.%d", i/250, i%250+1)
			r, err := client.Post("http://nftknockd/v1/open", "application/json", bytes.NewBufferString(fmt.Sprintf(`{"door":"ssh","source":%q}`, source)))
			if err == nil {
				r.Body.Close()
				if r.StatusCode == http.StatusOK {
					mu.Lock()
					answered[source] = time.Now()
					mu.Unlock()
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	var kills []time.Time
	for i := range sizeOfLife().kills {
		time.Sleep(upTo(400 * time.Millisecond))
		if i%2 == 0 {
			kills = append(kills, time.Now())
			d.Stop(os.Kill)
			d = start()
		} else {
			hooks.Stop(os.Kill)
			hooks = lab.StartHooks(t, d, state)
		}
	}
	stop()
	opening.Wait()

	missing := func() (late, lost []string) {
		text, _ := os.ReadFile(ran)
		done := make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			done[strings.TrimSpace(line)] = true
		}
	sources:
		for source, at := range answered {
			if done[source] {
				continue
			}
			for _, kill := range kills {
				if at.Add(recorded).After(kill) && at.Before(kill.Add(recorded)) {
					late = append(late, source)
					continue sources
				}
			}
			lost = append(lost, source)
		}
		return late, lost
	}
	lab.Eventually(t, "every grant has reached its hook", func() bool { _, lost := missing(); return len(lost) == 0 })
	late, _ := missing()
	text, _ := os.ReadFile(ran)
	t.Logf("%d grants, %d runs, %d kills of the daemon and as many of what runs hooks; killed with the daemon: %d events",
		len(answered), bytes.Count(text, []byte("\n")), len(kills), len(late))
}
