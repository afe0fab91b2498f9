package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nftknock/integration/lab"
)

// stranger is a user of NATS with all rights, and without the key.
type stranger struct{ kv jetstream.KeyValue }

func newStranger(t *testing.T, f *lab.Fleet) (stranger, jetstream.JetStream) {
	t.Helper()
	js, err := jetstream.New(f.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "nftknock-bastions")
	if err != nil {
		t.Fatal(err)
	}
	return stranger{kv}, js
}

// grants returns the values of the bucket that are about sources.
func (s stranger) grants(t *testing.T) map[string][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Timeout)
	defer cancel()
	keys, err := s.kv.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) { // it was made anew just now
		t.Fatal(err)
	}
	values := make(map[string][]byte)
	for _, key := range keys {
		if strings.HasPrefix(key, "grant.") {
			if e, err := s.kv.Get(ctx, key); err == nil {
				values[key] = e.Value()
			}
		}
	}
	return values
}

func (s stranger) put(t *testing.T, key string, value []byte) {
	t.Helper()
	if _, err := s.kv.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutTheKey has a user of NATS do what its rights allow: it lets nobody in, and nobody
// out. What it puts in the place of a value is replaced, and what it deletes put back.
func TestWithoutTheKey(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2})
	a, b := f.Gates[0], f.Gates[1]
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.1", "--for", "1h")
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.2", "--for", "1h")
	lab.ExpectIn(t, "192.0.2.1", b)
	lab.ExpectIn(t, "192.0.2.2", b)
	s, js := newStranger(t, f)
	var key string
	var granted []byte
	for k, v := range s.grants(t) {
		if strings.Contains(string(v), `"192.0.2.2"`) {
			key, granted = k, v
		}
	}

	// A revocation and a grant of its own making, another's signature, another's place, noise.
	forged := append([]byte{}, granted[:32]...)
	s.put(t, key, append(forged, strings.Replace(string(granted[32:]), `"gate"`, `"revoked":true,"gate"`, 1)...))
	s.put(t, "grant.ssh.MTkyLjAuMi42Ng", append(make([]byte, 32), []byte(`{"nftknock_fleet":1,"door":"ssh","source":"192.0.2.66","gate":"gate1","at_ms":1900000000000}`)...))
	s.put(t, "grant.ssh.MTkyLjAuMi42Nw", granted)
	s.put(t, "grant.ssh.AAAA", []byte("noise"))
	lab.Eventually(t, "what a gate knows is in the bucket again", func() bool { return string(s.grants(t)[key]) == string(granted) })

	// An old value, where a newer one was.
	a.Daemon.Tell(t, "close", "ssh", "192.0.2.2")
	lab.ExpectOut(t, "192.0.2.2", a, b)
	s.put(t, key, granted)
	lab.Eventually(t, "the revocation is in the bucket again", func() bool { return strings.Contains(string(s.grants(t)[key]), `"revoked":true`) })

	// A deleted one, and the bucket itself.
	keys := len(s.grants(t))
	for k, v := range s.grants(t) {
		if strings.Contains(string(v), `"192.0.2.1"`) {
			if err := s.kv.Delete(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	lab.Eventually(t, "what was deleted is in the bucket again", func() bool { return len(s.grants(t)) == keys })
	if err := js.DeleteKeyValue(t.Context(), "nftknock-bastions"); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the bucket is made anew", func() bool {
		kv, err := js.KeyValue(t.Context(), "nftknock-bastions")
		if err != nil {
			return false
		}
		s.kv = kv
		_, ok := s.grants(t)[key]
		return ok && len(s.grants(t)) >= 2
	})

	for _, g := range f.Gates {
		grants := g.Daemon.Status(t).Grants
		if len(grants) != 1 || grants[0].Source != "192.0.2.1" || time.Until(grants[0].Until) < 50*time.Minute {
			t.Errorf("%s lets in %+v", g.Name(), grants)
		}
		if !strings.Contains(g.Companion.Out.String(), "not signed with the group's key") {
			t.Errorf("%s does not say that somebody without the key writes to the bucket", g.Name())
		}
	}
}

// TestOwnRules has others, and a companion that lies, try to get a gate to do what its
// configuration does not say.
func TestOwnRules(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2, Fleet: "doors = [\"ssh\"]\nmax_grant = \"1m\"\n", Config: `
[door.web]
ports    = [80]
sequence = [7301, 8302, 6303]
`})
	a, b := f.Gates[0], f.Gates[1]
	a.Daemon.Tell(t, "open", "web", "192.0.2.1", "--for", "1h")
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.2", "--for", "1h")
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.3", "--for", "forever")
	lab.ExpectIn(t, "192.0.2.2", b)
	lab.ExpectIn(t, "192.0.2.3", b)
	for _, g := range b.Daemon.Status(t).Grants {
		if g.Door != "ssh" || time.Until(g.Until) > time.Minute {
			t.Errorf("the second gate has %+v", g)
		}
	}

	// A revocation is remembered for as long as the grant would have lasted, not just for max_grant.
	a.Daemon.Tell(t, "close", "ssh", "192.0.2.2")
	lab.ExpectOut(t, "192.0.2.2", a, b)
	s, _ := newStranger(t, f)
	for _, v := range s.grants(t) {
		var e struct {
			Source  string
			Revoked bool
			Until   int64 `json:"until_ms"`
		}
		if err := json.Unmarshal(v[32:], &e); err != nil {
			t.Fatal(err)
		}
		if e.Source == "192.0.2.2" && (!e.Revoked || time.Until(time.UnixMilli(e.Until)) < 50*time.Minute) {
			t.Errorf("of the revocation the bucket has %+v", e)
		}
	}

	// Who is always let in stays so, whatever the others decide.
	file := b.Daemon.Status(t).Daemon.File
	write(t, file, fmt.Sprintf("always_allow = [\"%v\"]\n", f.Source)+read(t, file))
	b.Daemon.Tell(t, "reload")
	a.Daemon.Tell(t, "open", "ssh", f.Source.String())
	lab.ExpectIn(t, f.Source.String(), b)
	a.Daemon.Tell(t, "close", "ssh", f.Source.String())
	lab.ExpectOut(t, f.Source.String(), a, b)
	if answer := b.Answer(); answer != lab.Open {
		t.Errorf("the second gate is %s to whom it always allows", answer)
	}

	// The companion is anybody now.
	share := func(decisions ...map[string]any) string {
		t.Helper()
		body, err := json.Marshal(decisions)
		if err != nil {
			t.Fatal(err)
		}
		return b.RunWith(t, string(body), "curl", "-s", "--unix-socket", b.Daemon.Socket, "-d", "@-", "http://nftknockd/v1/fleet/share")
	}
	share(
		map[string]any{"door": "web", "source": "192.0.2.10", "gate": "gate1", "left_seconds": 60},
		map[string]any{"door": "no", "source": "192.0.2.11", "gate": "gate1", "left_seconds": 60},
		map[string]any{"door": "ssh", "source": "0.0.0.0/0", "gate": "gate1", "left_seconds": 60},
		map[string]any{"door": "ssh", "source": "fe80::1%net1", "gate": "gate1", "left_seconds": 60},
		map[string]any{"door": "ssh", "source": "192.0.2.12", "gate": "a\nb", "left_seconds": 60},
		map[string]any{"door": "ssh", "source": "192.0.2.13", "gate": "gate1", "left_seconds": -1},
		map[string]any{"door": "ssh", "source": "nobody", "gate": "gate1"},
		map[string]any{"door": "ssh", "source": "192.0.2.14", "gate": "gate1", "left_seconds": 1e300},
		map[string]any{"door": "ssh", "source": "192.0.2.15", "gate": "gate1"},
	)
	var in []string
	for _, g := range b.Daemon.Status(t).Grants {
		in = append(in, g.Door+" "+g.Source)
		if time.Until(g.Until) > time.Minute {
			t.Errorf("%s is in until %v", g.Source, g.Until)
		}
	}
	if got, want := fmt.Sprint(in), "[ssh 192.0.2.3 ssh 192.0.2.14 ssh 192.0.2.15]"; got != want {
		t.Errorf("the second gate lets in %s, want %s", got, want)
	}
}
