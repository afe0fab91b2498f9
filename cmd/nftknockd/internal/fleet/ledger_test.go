package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// In whatever order gates hear of decisions, and however often, they agree in the end: on the
// latest, and of those of one moment on a revocation; and all remember it for as long as any of them.
func TestLedgersAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := rapid.Custom(func(t *rapid.T) Entry {
			at := time.UnixMilli(rapid.Int64Range(1, 5).Draw(t, "at"))
			until := at.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "for")) * time.Minute)
			return Entry{
				Door: "ssh", Source: rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2"}).Draw(t, "source"),
				Gate: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "gate"), Revoked: rapid.Bool().Draw(t, "revoked"),
				At: at, Until: until, Kept: until,
			}
		})
		decisions := rapid.SliceOfN(entry, 1, 12).Draw(t, "decisions")
		want := make(map[string]Entry)
		for _, e := range decisions {
			known, ok := want[e.key()]
			latest := known
			if !ok || e.newerThan(&known) {
				latest = e
			}
			latest.Kept = later(known.Kept, e.Kept)
			want[e.key()] = latest
		}
		l := newLedger()
		again := append(rapid.Permutation(decisions).Draw(t, "order"), rapid.Permutation(decisions).Draw(t, "again")...)
		for _, e := range again {
			l.offer(e)
		}
		if len(l.records) != len(want) {
			t.Fatalf("%d sources, want %d", len(l.records), len(want))
		}
		for key, e := range want {
			got := l.records[key].Entry
			if got != e {
				t.Fatalf("%+v, want %+v", got, e)
			}
			for _, other := range decisions {
				if other.key() == key && (other.Until.After(got.Kept) || other.At.After(got.At) || other.At.Equal(got.At) && other.Revoked && !got.Revoked) {
					t.Fatalf("%+v counts, and not %+v", got, other)
				}
			}
		}
	})
}

func TestLedgerForgets(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	l := newLedger()
	l.offer(Entry{Door: "ssh", Source: "192.0.2.1", At: now, Until: now.Add(time.Second), Kept: now.Add(time.Second)})
	l.offer(Entry{Door: "ssh", Source: "192.0.2.2", At: now})
	l.offer(Entry{Door: "ssh", Source: "192.0.2.3", At: now, Until: now.Add(time.Hour), Kept: now.Add(time.Hour), Revoked: true})
	l.offer(Entry{Door: "ssh", Source: "192.0.2.4", At: now, Until: now.Add(time.Hour), Kept: now.Add(time.Hour)})
	l.offer(Entry{Door: "ssh", Source: "192.0.2.4", At: now.Add(1), Until: now.Add(time.Second), Kept: now.Add(time.Second)}) // after which the other one could come back
	l.prune(now.Add(time.Second))
	if len(l.records) != 3 || l.records[grantKey("ssh", "192.0.2.1")] != nil {
		t.Errorf("%d records are left: what is over is not needed, all else is", len(l.records))
	}
}
