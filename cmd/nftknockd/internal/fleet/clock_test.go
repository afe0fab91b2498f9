package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/cmd/nftknockd/internal/status"
	"nftknock/config"
	"nftknock/integration/lab"
)

// TestClocksApart has two gates share whose clocks are two minutes apart: a grant lasts as long at
// either, and the later decision counts, whatever their clocks say.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	early, late := newSkewed(t, url, "early", -time.Minute), newSkewed(t, url, "late", time.Minute)

	late.decide(event.Granted, "192.0.2.1", 5*time.Minute)
	early.expect(t, "192.0.2.1", 5*time.Minute)
	early.decide(event.Revoked, "192.0.2.1", 0)
	late.expect(t, "192.0.2.1", 0)
	late.decide(event.Granted, "192.0.2.1", 3*time.Minute)
	early.expect(t, "192.0.2.1", 3*time.Minute)

	early.decide(event.Granted, "192.0.2.2", 30*time.Second) // which is over, by the other's clock
	late.expect(t, "192.0.2.2", 30*time.Second)
	late.decide(event.Revoked, "192.0.2.2", 0)
	early.expect(t, "192.0.2.2", 0)
}

// skewed is a daemon on a machine whose clock is wrong.
type skewed struct {
	fleet *config.Fleet
	by    time.Duration
	local chan event.Event
	began chan string // when its events are followed

	mu    sync.Mutex
	count int
	in    map[string]time.Time // until when, by this machine's clock
}

func newSkewed(t *testing.T, url, gate string, by time.Duration) *skewed {
	d := &skewed{
		fleet: &config.Fleet{URLs: []string{url}, Group: "bastions", MaxGrant: time.Hour}, by: by,
		local: make(chan event.Event), began: make(chan string, 1), in: make(map[string]time.Time),
	}
	c := Companion{
		Daemon: d, Gate: gate, Now: d.now, Log: slog.New(slog.DiscardHandler),
		Load: func() (string, error) { return "", nil }, Save: func(string) error { return nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-d.began:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not begin to share", gate)
	}
	return d
}

func (d *skewed) now() time.Time { return time.Now().Add(d.by) }

// decide is what the daemon decides, and tells.
func (d *skewed) decide(kind event.Kind, source string, lasts time.Duration) {
	d.mu.Lock()
	d.count++
	e := event.Event{ID: fmt.Sprint(d.count), Time: d.now().Round(0), Kind: kind, Door: "ssh", Source: source, By: event.ByAdmin}
	delete(d.in, source)
	if kind == event.Granted {
		e.Until = e.Time.Add(lasts)
		d.in[source] = e.Until
	}
	d.mu.Unlock()
	d.local <- e
}

// expect waits until a source is let in for so long; 0: not at all.
func (d *skewed) expect(t *testing.T, source string, lasts time.Duration) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%s is let in for %v", source, lasts), func() bool {
		d.mu.Lock()
		until, in := d.in[source]
		d.mu.Unlock()
		left := time.Duration(0)
		if in {
			left = until.Sub(d.now())
		}
		return in == (lasts > 0) && left <= lasts+time.Second && left >= lasts-5*time.Second
	})
}

func (d *skewed) Fleet() (f *config.Fleet, key, credentials config.Secret, err error) {
	return d.fleet, testSigner.secret, "", nil
}

func (d *skewed) Follow(ctx context.Context, after string, _ []event.Kind, begun func(string), see func(event.Event) error) error {
	begun(after)
	select {
	case d.began <- after:
	default:
	}
	for {
		select {
		case e := <-d.local:
			if err := see(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *skewed) Grants() (grants []status.Grant, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for source, until := range d.in {
		grants = append(grants, status.Grant{Door: "ssh", Source: source, Until: until, By: event.ByAdmin})
	}
	return grants, nil
}

func (d *skewed) Share(decisions []grant.Shared) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range decisions {
		delete(d.in, s.Source)
		if !s.Revoked {
			d.in[s.Source] = d.now().Add(s.Left)
		}
	}
	return nil
}

func (d *skewed) Spend([]event.Spent) error { return nil }
func (d *skewed) Report(status.Fleet) error { return nil }

// startNATS starts a server on the loopback interface, and returns its URL.
func startNATS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	server := exec.Command(lab.NATSServer(t), "--addr", "127.0.0.1", "--port", fmt.Sprint(address.Port), "--jetstream", "--store_dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	return fmt.Sprintf("nats://%v", address)
}
