package event

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// replaceFile is as statedir.Dir's.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// A recorded run is a bus and its journal, of one daemon.
type recordedRun struct {
	*Bus
	stop func() // returns when all is recorded
	log  *bytes.Buffer
}

func record(t testing.TB, path string) *recordedRun {
	t.Helper()
	log := new(bytes.Buffer)
	j := OpenJournal(path, replaceFile, slog.New(slog.NewTextHandler(log, nil)))
	bus := j.NewBus()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- j.Record(ctx, bus) }()
	return &recordedRun{bus, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, log}
}

// read returns what a subscription has now, in short, and the last ID.
func read(t testing.TB, s *Subscription) (seen []string, last string) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		e, err := s.Next(ended)
		if err != nil {
			return seen, last
		}
		seen, last = append(seen, fmt.Sprint(e.Kind, e.Count)), e.ID
	}
}

// A reader goes on after restarts of the daemon, and receives each event once; of a run
// that was killed, what it has recorded.
func TestJournalOutlastsTheDaemon(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "events")
		var position string
		var next, read uint64 = 1, 1
		for range rapid.IntRange(1, 5).Draw(rt, "runs") {
			d := record(t, path)
			if position == "" {
				position = subscribeTo(t, d.Bus, Now).Position()
			}
			for range rapid.IntRange(0, 20).Draw(rt, "events") {
				kind := rapid.SampledFrom([]Kind{Granted, Scan, Revoked}).Draw(rt, "kind")
				d.Publish(Event{Kind: kind, Door: "ssh", Source: "203.0.113.7", Count: next})
				next++
			}
			s := subscribeTo(t, d.Bus, position)
			for range rapid.IntRange(0, 30).Draw(rt, "read") {
				if read == next {
					break
				}
				e, err := s.Next(t.Context())
				if e.Kind == Expired { // at the start, of what was not revoked
					continue
				}
				if err != nil || e.Count != read {
					rt.Fatalf("%+v, %v, want number %d", e, err, read)
				}
				read++
				position = e.ID
			}
			s.Close()
			d.stop()
		}
	})
}

func subscribeTo(t testing.TB, bus *Bus, after string) *Subscription {
	t.Helper()
	s, err := bus.Subscribe(after)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a killed daemon has told and not recorded makes nobody miss what the next one does
// under the same numbers.
func TestJournalOfAKilledDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	killed := record(t, path)
	killed.Publish(Event{Kind: Granted, Count: 1})
	killed.stop() // what follows is not recorded
	killed.Publish(Event{Kind: Granted, Count: 2})
	killed.Publish(Event{Kind: Granted, Count: 3})
	s, err := killed.Resume(killed.history.id(0))
	if err != nil {
		t.Fatal(err)
	}
	_, last := read(t, s)

	d := record(t, path)
	defer d.stop()
	d.Publish(Event{Kind: Revoked, Count: 4})
	if seen, _ := read(t, subscribeTo(t, d.Bus, last)); !slices.Equal(seen, []string{"revoked4"}) {
		t.Errorf("after %s: %q", last, seen)
	}
}

// A journal is bounded, and after it was written anew tells what is gone.
func TestJournalIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	d := record(t, path)
	begin := subscribeTo(t, d.Bus, Now).Position()
	for i := range 5 * replay {
		d.Publish(Event{Kind: Granted, Door: "ssh", Source: "203.0.113.7", Count: uint64(i)})
		if i%100 == 0 { // as fast as the recorder
			time.Sleep(time.Microsecond)
		}
	}
	d.stop()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("\n")); n > 2*replay+16 {
		t.Errorf("%d lines", n)
	}
	d = record(t, path)
	defer d.stop()
	if _, err := d.Subscribe(begin); err != ErrGone {
		t.Errorf("resumed where nothing is held: %v", err)
	}
	s, err := d.Resume(begin)
	if err != nil {
		t.Fatal(err)
	}
	if seen, _ := read(t, s); len(seen) != replay+1 || seen[0] != "missed0" || seen[replay] != fmt.Sprint("granted", 5*replay-1) {
		t.Errorf("%d events, from %s", len(seen), seen[0])
	}
}

// A flood of strangers' events is not written for as long as it lasts.
func TestJournalUnderAFlood(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	d := record(t, path)
	for range 3 * strangersBurst {
		d.Publish(Event{Kind: Scan, Source: "203.0.113.7"})
	}
	d.Publish(Event{Kind: Granted, Door: "ssh", Source: "203.0.113.8"})
	d.stop()
	data, _ := os.ReadFile(path)
	if n := bytes.Count(data, []byte(`"scan"`)); n < strangersBurst || n > strangersBurst+100 {
		t.Errorf("%d scans are written", n)
	}
	if !bytes.Contains(data, []byte(`"granted"`)) {
		t.Error("the grant is not")
	}
}

// What is damaged begins anew, and says so; only an end that was cut off is no damage.
func TestDamagedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	d := record(t, path)
	d.Publish(Event{Kind: Granted, Door: "ssh", Source: "203.0.113.7", Count: 1})
	d.Publish(Event{Kind: Revoked, Door: "ssh", Source: "203.0.113.7", Count: 2})
	d.stop()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	for name, c := range map[string]struct {
		text string
		held int
	}{
		"whole":            {string(good), 2},
		"cut off":          {string(good[:len(good)-5]), 1},
		"empty":            {"", 0},
		"zeros":            {string(make([]byte, 512)), 0},
		"another format":   {strings.Replace(string(good), `"nftknockd_events":1`, `"nftknockd_events":2`, 1), 0},
		"no JSON":          {lines[0] + "x\n" + lines[1], 0},
		"unknown kind":     {strings.Replace(string(good), "granted", "burned", 1), 0},
		"without its head": {strings.Join(lines[1:], ""), 0},
		"not in order":     {string(good) + lines[2], 0},
		"another file":     {"[door.ssh]\n", 0},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := record(t, path)
		if n := len(d.history.ours.events); n != c.held {
			t.Errorf("%s: %d events", name, n)
		}
		if told := strings.Contains(d.log.String(), "begins anew"); told != (c.held == 0) {
			t.Errorf("%s: logged %q", name, d.log)
		}
		d.Publish(Event{Kind: Granted, Count: 3})
		d.stop()
		d = record(t, path)
		if n := len(d.history.ours.events); n != c.held+1 {
			t.Errorf("%s: then %d events", name, n)
		}
		d.stop()
	}
}

// Grants that have ended while no daemon ran expire when the next one begins.
func TestExpiryWithoutADaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	d := record(t, path)
	for _, source := range []string{"in", "out", "renewed", "revoked"} {
		d.Publish(granted(source, time.Hour))
	}
	d.Publish(Event{Kind: Granted, Door: "ssh", Source: "forever"})
	d.Publish(Event{Kind: Revoked, Door: "ssh", Source: "revoked"})
	d.stop()

	d = record(t, path)
	defer d.stop()
	w := watch(t, d.Bus)
	d.Publish(granted("renewed", time.Hour))
	d.Present([]Event{granted("in", time.Minute), granted("unknown", time.Minute)})
	want := []string{"granted ssh renewed", "expired ssh forever", "expired ssh out"}
	if seen := w.seen(); !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
}

// Whatever is in the file, reading it ends well.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"nftknockd_events":1,"seq":0}` + "\n" + `{"seq":0,"run":"a"}` + "\n" + `{"seq":1,"event":{"kind":"granted"}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h history
		if _, err := h.read(data); err != nil {
			return
		}
		h.begin("x")
		var again history
		if _, err := again.read(h.marshal()); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

// What only other gates are told is there after the file was written anew, too.
func TestJournalKeepsWhatWasUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	d := record(t, path)
	position := subscribeTo(t, d.Bus, Now).Position()
	d.Publish(Event{Kind: Granted, Door: "ssh", Source: "203.0.113.7", Count: 1})
	d.Publish(Event{Kind: Used, Door: "ssh", Count: 2})
	d.stop()

	j := OpenJournal(path, replaceFile, slog.New(slog.DiscardHandler))
	j.rewrite()
	j.close()

	d = record(t, path)
	defer d.stop()
	events, err := d.Bus.Subscribe(position, recorded...)
	if err != nil {
		t.Fatal(err)
	}
	seen, _ := read(t, events)
	if want := []string{fmt.Sprint(Granted, 1), fmt.Sprint(Used, 2)}; !slices.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
}
