package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// fakeTable refuses as many calls as it is told to.
type fakeTable struct {
	mu      sync.Mutex
	refuse  int
	in      map[netip.Addr]bool
	batches []int       // how many grants were made or revoked by each transaction
	wide    []nft.Grant // of wide prefixes
	changed bool        // by somebody else
	rules   *nft.Ruleset
	comment string // of the last element
}

var (
	_ kernel.Table    = (*fakeTable)(nil)
	_ kernel.Listener = (*fakeListener)(nil)
)

func (f *fakeTable) try(do func()) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse > 0 {
		f.refuse--
		return unix.ENOBUFS
	}
	do()
	return nil
}

func (f *fakeTable) isIn(source netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.in[source]
}

func (f *fakeTable) Grant(grants ...nft.Grant) error {
	return f.try(func() {
		f.batches = append(f.batches, len(grants))
		for _, g := range grants {
			f.in[g.Source.Addr().WithZone(g.Zone)], f.comment = true, g.By
		}
	})
}

func (f *fakeTable) Revoke(grants ...nft.Grant) error {
	return f.try(func() {
		f.batches = append(f.batches, len(grants))
		for _, g := range grants {
			delete(f.in, g.Source.Addr().WithZone(g.Zone))
		}
	})
}

func (f *fakeTable) Overlapping(g nft.Grant) ([]nft.Grant, error) {
	var overlapping []nft.Grant
	for _, other := range f.wide {
		if g.Source.Bits() < 32 && other.Source.Overlaps(g.Source) {
			overlapping = append(overlapping, other)
		}
	}
	return overlapping, nil
}

func (f *fakeTable) Replace(r *nft.Ruleset) error { return f.try(func() { f.rules = r }) }
func (f *fakeTable) Restore() error               { return f.try(func() { f.changed = false }) }
func (f *fakeTable) Remove() error                { return f.try(func() {}) }
func (f *fakeTable) Owned() bool                  { return true }
func (f *fakeTable) Watch() (*nft.Watcher, error) { return nil, nil }
func (f *fakeTable) Close() error                 { return nil }

type fakeListener struct {
	failed chan error
	closed bool
}

func (f *fakeListener) Failed() <-chan error { return f.failed }
func (f *fakeListener) Lost() uint64         { return 7 }
func (f *fakeListener) Close() error         { f.closed = true; return nil }

// A logBuffer keeps what is logged, or is stuck.
type logBuffer struct {
	stuck chan struct{} // writes wait until it is closed, unless it is nil

	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	if b.stuck != nil {
		<-b.stuck
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

// A rehearsal is a gate without a kernel.
type rehearsal struct {
	*Gate
	table     *fakeTable
	bus       *event.Bus
	listeners []*fakeListener
	knocks    uint32
	refused   int // how many more times the log cannot be listened to
	logged    logBuffer
	told      []string // to the service manager
	snapshot  *nft.Snapshot
	next      func() (*config.Config, error)
}

const rehearsed = `
[door.ssh]
ports = [22]
sequence = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// rehearse runs a gate in a bubble of its own, whose time passes when all wait.
func rehearse(t *testing.T, test func(*rehearsal)) { rehearseConfig(t, parse(t, rehearsed), test) }

func rehearseConfig(t *testing.T, cfg *config.Config, test func(*rehearsal)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rehearsal{table: &fakeTable{in: make(map[netip.Addr]bool)}, bus: event.NewBus(), snapshot: new(nft.Snapshot)}
		g, err := New(cfg, Deps{
			Log:    slog.New(slog.NewTextHandler(&r.logged, nil)),
			Bus:    r.bus,
			State:  statedir.Dir(t.TempDir()),
			Load:   func() (*config.Config, error) { return r.next() },
			Notify: func(state string) { r.told = append(r.told, state) },
			Listen: func(uint16, func(time.Time, knock.Packet, []byte), func()) (kernel.Listener, error) {
				if r.refused > 0 {
					r.refused--
					return nil, unix.EBUSY
				}
				l := &fakeListener{failed: make(chan error, 1)}
				r.listeners = append(r.listeners, l)
				return l, nil
			},
			Install: func(*nft.Ruleset, bool) (kernel.Table, error) { return r.table, nil },
			Inspect: func(string) (*nft.Snapshot, error) { return r.snapshot, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Gate = g
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- g.Run(ctx) }()
		synctest.Wait()
		r.told = nil
		r.logged.Reset()
		test(r)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

var someone = netip.MustParseAddr("203.0.113.7")

func (r *rehearsal) knock(ports ...uint16) {
	for _, port := range ports {
		r.knocks++
		r.observe(time.Now(), knock.Packet{Source: someone, Port: knock.Port{Number: port, Proto: knock.TCP}, ISN: r.knocks}, nil)
	}
}

// pass lets time pass.
func (r *rehearsal) pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

const degradedENOBUFS = "STATUS=degraded: cannot grant: no buffer space available"

func TestRefusedGrantIsRepeated(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.table.refuse = 5
		r.knock(7214, 8391, 6127)
		synctest.Wait()
		if r.table.isIn(someone) || r.Healthy() {
			t.Error("in, or healthy, although the kernel refuses")
		}
		r.pass(time.Second)
		if !r.table.isIn(someone) || !r.Healthy() {
			t.Error("not in, or not healthy, although the kernel refuses no more")
		}
		if got := r.told[len(r.told)-1]; r.told[0] != degradedENOBUFS || got != "STATUS=guarding, 1 door" {
			t.Errorf("the service manager was told %q", r.told)
		}
		if n := strings.Count(r.logged.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d errors logged:\n%s", n, &r.logged)
		}
	})
}

func TestRefusedDecisionsKeepTheirOrder(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.table.refuse = 7
		r.knock(7214, 8391, 6127)
		r.knock(6127, 8391, 7214)
		r.pass(time.Minute)
		if r.table.isIn(someone) || !r.Healthy() {
			t.Error("the closing came last, but the source is in")
		}
	})
}

func TestLogIsReadAgain(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.refused = 3
		r.listeners[0].failed <- errors.New("gone")
		synctest.Wait()
		if r.Healthy() {
			t.Error("healthy, but nothing is heard")
		}
		r.pass(time.Second)
		if !r.Healthy() || len(r.listeners) != 2 || !r.listeners[0].closed || r.listeners[1].closed {
			t.Errorf("not listening again: %d listeners", len(r.listeners))
		}
	})
}

func TestFailedReloadPutsTheOldTableBack(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.next = func() (*config.Config, error) { return parse(t, rehearsed+"shut = \"reject\"\n"), nil }
		r.table.refuse, r.table.changed = 3, true
		r.Reload(context.Background())
		r.pass(time.Second)
		if r.table.changed || !r.Healthy() || r.state.cfg.Doors[0].Shut != knock.Drop {
			t.Errorf("the old table is not in force: %+v", r.table)
		}
		r.Reload(context.Background())
		synctest.Wait()
		if r.state.cfg.Doors[0].Shut != knock.Reject {
			t.Error("the second reload had no effect")
		}
	})
}

func TestReloadTellsTheServiceManager(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.next = func() (*config.Config, error) { return config.Parse("bad.toml", []byte("colour = 1\nform = 2\n")) }
		r.Reload(context.Background())
		synctest.Wait()
		if len(r.told) != 2 || !strings.HasPrefix(r.told[0], "RELOADING=1\nMONOTONIC_USEC=") ||
			!strings.HasPrefix(r.told[1], "READY=1\nSTATUS=reload refused, the old configuration stays in force: bad.toml:1: unknown key") {
			t.Errorf("the service manager was told %q", r.told)
		}
		for _, want := range []string{"bad.toml:1: unknown key", "bad.toml:2: unknown key", "the old configuration stays in force"} {
			if !strings.Contains(r.logged.String(), want) {
				t.Errorf("not logged: %s\n%s", want, &r.logged)
			}
		}
	})
}

func TestReloadForgetsDoorsThatAreNoMore(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.table.refuse = 2
		r.knock(7214, 8391, 6127)
		synctest.Wait()
		r.table.refuse = 0
		r.next = func() (*config.Config, error) { return parse(t, ""), nil }
		r.Reload(context.Background())
		r.pass(time.Second)
		if r.table.isIn(someone) || !r.Healthy() {
			t.Error("granted through a door that is gone")
		}
		if got := r.told[len(r.told)-1]; !strings.HasSuffix(got, "STATUS=no door is configured: nothing is guarded") {
			t.Errorf("the service manager was told %q", got)
		}
	})
}

// Losses are logged at once, and then once in ten seconds as long as there are more.
func TestLossesAreLoggedRarely(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		for range 25 * 10 {
			r.lost.Call()
			r.pass(100 * time.Millisecond)
		}
		r.pass(time.Minute)
		if n := strings.Count(r.logged.String(), "were lost"); n != 4 { // after 0, 10, 20 and 30 s
			t.Errorf("logged %d times:\n%s", n, &r.logged)
		}
	})
}
