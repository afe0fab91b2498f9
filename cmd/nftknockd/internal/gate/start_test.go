package gate

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/kernel"
	"nftknock/cmd/nftknockd/internal/lastgood"
	"nftknock/cmd/nftknockd/internal/statedir"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// A boot is a start of the daemon on a host without a kernel.
type boot struct {
	state  statedir.Dir
	file   string
	listen func() error // why nobody can listen
	shut   func() error // why no table can be installed
	table  *fakeTable
	told   []string
	logged logBuffer
}

func newBoot(t *testing.T) *boot {
	b := &boot{state: statedir.Dir(t.TempDir()), file: filepath.Join(t.TempDir(), "nftknockd.toml")}
	b.listen, b.shut = func() error { return nil }, func() error { return nil }
	b.write(t, rehearsed)
	return b
}

func (b *boot) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// up starts the daemon, and calls a function while it runs.
func (b *boot) up(t *testing.T, while func(*Gate)) error {
	t.Helper()
	load := func() (*config.Config, error) { return config.Load(b.file) }
	first, err := lastgood.Choose(load, b.state)
	if err != nil {
		return err
	}
	b.table = &fakeTable{in: make(map[netip.Addr]bool)}
	g, err := Start(t.Context(), first, Deps{
		Log: slog.New(slog.NewTextHandler(&b.logged, nil)), Bus: event.NewBus(), State: b.state, Load: load,
		Notify: func(state string) { b.told = append(b.told, state) },
		Listen: func(uint16, func(time.Time, knock.Packet, []byte), func()) (kernel.Listener, error) {
			if err := b.listen(); err != nil {
				return nil, err
			}
			return &fakeListener{failed: make(chan error, 1)}, nil
		},
		Install: func(r *nft.Ruleset, _ bool) (kernel.Table, error) {
			if err := b.shut(); err != nil {
				return nil, err
			}
			b.table.rules = r
			return b.table, nil
		},
		Inspect: func(string) (*nft.Snapshot, error) { return new(nft.Snapshot), nil },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	synctest.Wait()
	while(g)
	cancel()
	return <-ended
}

func degradedText(g *Gate) string {
	s, err := g.Status()
	if err != nil {
		return err.Error()
	}
	return s.Daemon.Degraded
}

var errTaken = errors.New("another program uses NFLOG group 7022")

// The first start of all has nothing to go back to.
func TestFirstStartFails(t *testing.T) {
	for name, spoil := range map[string]func(b *boot){
		"bad file": func(b *boot) { b.write(t, "door = 1") },
		"no file":  func(b *boot) { os.Remove(b.file) },
		"log":      func(b *boot) { b.listen = func() error { return errTaken } },
		"table":    func(b *boot) { b.shut = func() error { return unix.ENOMEM } },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoot(t)
				spoil(b)
				if err := b.up(t, func(*Gate) { t.Error("it runs") }); err == nil {
					t.Error("no error")
				}
			})
		})
	}
}

func TestStartOutOfMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoot(t)
		b.up(t, func(*Gate) {})
		failures := 20
		b.shut = func() error {
			if failures--; failures > 0 {
				return unix.ENOMEM
			}
			return nil
		}
		b.told = nil
		err := b.up(t, func(g *Gate) {
			if text := degradedText(g); !strings.HasPrefix(text, "guarding by the last good configuration: cannot allocate memory") {
				t.Error(text)
			}
			time.Sleep(2 * retryFileAfter)
			synctest.Wait()
			if text := degradedText(g); text != "" || !g.Healthy() {
				t.Error(text)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.told[0], "STATUS=the doors are not shut yet: cannot allocate memory") || !strings.HasPrefix(b.told[0], "EXTEND_TIMEOUT_USEC=") {
			t.Errorf("%q", b.told)
		}
	})
}

func TestStartWithoutListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoot(t)
		b.up(t, func(*Gate) {})
		var taken atomic.Bool
		taken.Store(true)
		b.listen = func() error {
			if taken.Load() {
				return errTaken
			}
			return nil
		}
		b.told = nil
		err := b.up(t, func(g *Gate) {
			if text := degradedText(g); strings.Count(text, errTaken.Error()) != 2 || b.table.rules == nil {
				t.Errorf("%q, table %v", text, b.table.rules)
			}
			if g.Healthy() || !g.Works() {
				t.Error("healthy, or such that a restart would help")
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if len(b.told) > 2 || len(b.logged.String()) > 4096 {
				t.Errorf("the service manager was told %d times; logged:\n%s", len(b.told), b.logged.String())
			}
			taken.Store(false)
			time.Sleep(2 * retryFileAfter)
			synctest.Wait()
			if !g.Healthy() {
				t.Error(degradedText(g))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// A file that is on trial is not taken by a start, but by a reload.
func TestStartOnTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoot(t)
		b.up(t, func(*Gate) {})
		b.write(t, strings.Replace(rehearsed, "7214, 8391, 6127]\nclose", "7215, 8391, 6127]\nclose", 1))
		tried, err := config.Load(b.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.state.BeginTrial(tried.Fingerprint()); err != nil {
			t.Fatal(err)
		}
		b.up(t, func(g *Gate) {
			if first := g.state.cfg.Doors[0].Sequence[0].Number; first != 7214 || !strings.Contains(degradedText(g), "the file was on trial") {
				t.Errorf("begins with %d: %s", first, degradedText(g))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if err := g.Reload(t.Context()); err != nil || !g.Healthy() || g.state.cfg.Doors[0].Sequence[0].Number != 7215 {
				t.Errorf("%v, %s", err, degradedText(g))
			}
		})
		b.up(t, func(g *Gate) {
			if !g.Healthy() {
				t.Error(degradedText(g))
			}
		})
	})
}
