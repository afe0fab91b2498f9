package gate

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/knock"
	"nftknock/nft"
)

func mustSource(t *testing.T, text string) grant.Source {
	t.Helper()
	s, err := grant.ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Wide prefixes are settled with each other: nothing ends before its time, and nothing lasts longer.
func TestWidePrefixes(t *testing.T) {
	for _, test := range []struct {
		name, there string
		left        time.Duration
		open        string
		d           time.Duration
		want        string // what lets the source in, or the error
		events      string
	}{
		{"alone", "10.0.0.0/16", time.Hour, "10.1.0.0/16", time.Hour, "10.1.0.0/16", "granted 10.1.0.0/16"},
		{"again", "10.0.0.0/16", time.Hour, "10.0.0.0/16", time.Minute, "10.0.0.0/16", "granted 10.0.0.0/16"},
		{"takes the place", "10.0.3.0/24", time.Hour, "10.0.0.0/16", time.Hour, "10.0.0.0/16", "revoked 10.0.3.0/24, granted 10.0.0.0/16"},
		{"is covered", "10.0.0.0/16", time.Hour, "10.0.3.0/24", time.Minute, "10.0.0.0/16", ""},
		{"covers what lasts longer", "10.0.3.0/24", knock.Forever, "10.0.0.0/16", time.Hour, "10.0.0.0/16 contains 10.0.3.0/24", ""},
		{"within what ends earlier", "10.0.0.0/16", time.Minute, "10.0.3.0/24", time.Hour, "10.0.3.0/24 is within 10.0.0.0/16", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rehearse(t, func(r *rehearsal) {
				events, err := r.bus.Subscribe(event.Now, event.Granted, event.Revoked)
				if err != nil {
					t.Fatal(err)
				}
				defer events.Close()
				r.table.wide = []nft.Grant{{Door: "ssh", Source: netip.MustParsePrefix(test.there), Left: test.left, By: "admin"}}
				got := ""
				in, err := r.Open("ssh", mustSource(t, test.open), test.d)
				if got = in.Source(); err != nil {
					got = err.Error()
					if _, ok := errors.AsType[*grant.OverlapError](err); !ok {
						t.Errorf("%T", err)
					}
				}
				if !strings.HasPrefix(got, test.want) {
					t.Errorf("%s, want %s", got, test.want)
				}
				r.bus.Publish(event.Event{Kind: event.Revoked, Text: "the end"})
				var seen []string
				for {
					e, err := events.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if e.Text != "" {
						break
					}
					seen = append(seen, string(e.Kind)+" "+e.Source)
				}
				if got := strings.Join(seen, ", "); got != test.events {
					t.Errorf("events: %s, want %s", got, test.events)
				}
			})
		})
	}
}

// A link-local source has an interface that is there.
func TestOpenOnNoInterface(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		if _, err := r.Open("ssh", mustSource(t, "fe80::7%none"), 0); err == nil || !strings.Contains(err.Error(), "no packet arrives on none: there are") {
			t.Error(err)
		}
	})
}

// Who is put out of one door may get to its ports by another way.
func TestWaysIn(t *testing.T) {
	cfg := parse(t, "always_allow = [\"192.0.2.0/24\", \"198.51.100.0/24\"]\n"+rehearsed+
		"[door.ann]\nports = [22]\nsequence = [5303, 4871]\n[door.web]\nports = [443]\nsequence = [5304, 4872]\n")
	rehearseConfig(t, cfg, func(r *rehearsal) {
		for door, source := range map[string]string{"ann": "203.0.113.7/32", "web": "203.0.113.7/32", "ssh": "203.0.113.7/32"} {
			r.snapshot.Grants = append(r.snapshot.Grants, nft.Grant{Door: door, Source: netip.MustParsePrefix(source), Left: knock.Forever})
		}
		for text, want := range map[string]string{
			"203.0.113.7": "ann 203.0.113.7", "203.0.113.8": "", "192.0.2.7": " 192.0.2.0/24", "": " 192.0.2.0/24,  198.51.100.0/24, ann 203.0.113.7",
		} {
			source := grant.Source{}
			if text != "" {
				source = mustSource(t, text)
			}
			ways, err := r.WaysIn("ssh", source)
			var got []string
			for _, w := range ways {
				got = append(got, w.Door+" "+w.Source)
			}
			if strings.Join(got, ", ") != want || err != nil {
				t.Errorf("%s: %q, want %q; %v", text, got, want, err)
			}
		}
	})
}

func TestRevoke(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		for _, source := range []string{"203.0.113.7/32", "203.0.113.0/24", "2001:db8::7/128"} {
			r.snapshot.Grants = append(r.snapshot.Grants, nft.Grant{Door: "ssh", Source: netip.MustParsePrefix(source)})
		}
		for _, zone := range []string{"eth0", "eth1"} {
			r.snapshot.Grants = append(r.snapshot.Grants, nft.Grant{Door: "ssh", Source: netip.MustParsePrefix("fe80::1/128"), Zone: zone})
		}
		for text, want := range map[string]string{
			"203.0.113.7":    "203.0.113.7; 203.0.113.7 is still let in through door ssh with all of 203.0.113.0/24: revoke that prefix",
			"203.0.113.8":    "203.0.113.8 is still let in through door ssh with all of 203.0.113.0/24: revoke that prefix",
			"203.0.113.0/24": "203.0.113.7; 203.0.113.0/24",
			"203.0.0.0/8":    "203.0.113.7; 203.0.113.0/24",
			"fe80::1%eth1":   "fe80::1%eth1",
			"fe80::1":        "fe80::1%eth0; fe80::1%eth1",
			"198.51.100.1":   "",
		} {
			revoked, err := r.Revoke("ssh", mustSource(t, text), grant.Admin)
			var got []string
			for _, g := range revoked {
				got = append(got, g.Source())
			}
			if err != nil {
				got = append(got, err.Error())
			}
			if strings.Join(got, "; ") != want {
				t.Errorf("%s: %s, want %s", text, strings.Join(got, "; "), want)
			}
		}
		if revoked, err := r.Revoke("ssh", grant.Source{}, grant.Admin); len(revoked) != 5 || err != nil {
			t.Errorf("everybody: %v, %v", revoked, err)
		}
	})
}

// Several grants are one transaction, and many are several: packets do not wait for all of them.
func TestBatches(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		var grants []grant.Grant
		source := netip.MustParseAddr("10.0.0.1")
		for range 600 {
			grants = append(grants, grant.Grant{Door: "ssh", Prefix: netip.PrefixFrom(source, 32), Origin: grant.Admin})
			r.snapshot.Grants = append(r.snapshot.Grants, nft.Grant{Door: "ssh", Source: netip.PrefixFrom(source, 32)})
			source = source.Next()
		}
		if err := r.Apply(grants...); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Revoke("ssh", grant.Source{}, grant.Admin); err != nil {
			t.Fatal(err)
		}
		if want := []int{256, 256, 88, 256, 256, 88}; !slices.Equal(r.table.batches, want) || len(r.table.in) > 0 {
			t.Errorf("transactions of %v, want %v; %d are in", r.table.batches, want, len(r.table.in))
		}
	})
}
