package gate

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nftknock/cmd/nftknockd/internal/control"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

// What is let in by hand covers the prefix, in parts as wide as those that knocks
// let in, and nothing beyond the parts that its ends are in.
func TestPartsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		door := &knock.Door{IPv4Prefix: rapid.IntRange(1, 32).Draw(t, "ipv4_prefix"), IPv6Prefix: rapid.IntRange(1, 128).Draw(t, "ipv6_prefix")}
		bits, length := door.IPv4Prefix, 4
		if rapid.Bool().Draw(t, "IPv6") {
			bits, length = door.IPv6Prefix, 16
		}
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), length, length).Draw(t, "address"))
		source := netip.PrefixFrom(addr, rapid.IntRange(0, addr.BitLen()).Draw(t, "bits")).Masked()
		parts, err := partsOf(door, source)
		if tooWide := bits-source.Bits() > 8; tooWide || err != nil {
			if !tooWide || err == nil {
				t.Fatalf("%v in parts of /%d: %v", source, bits, err)
			}
			return
		}
		if want := 1 << max(0, bits-source.Bits()); len(parts) != want {
			t.Fatalf("%v in parts of /%d: %v, want %d", source, bits, parts, want)
		}
		for i, p := range parts {
			if p.Bits() != bits || p != p.Masked() || !p.Overlaps(source) || slices.Contains(parts[:i], p) {
				t.Fatalf("%v in parts of /%d: %v", source, bits, parts)
			}
		}
	})
}

func TestDeskAndAKernelThatRefuses(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		d := &desk{gate: r.gate}
		source := netip.PrefixFrom(someone, 32)
		r.table.refuse = 1
		if _, err := d.Open("ssh", source, 0); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("open: %v", err)
		}
		// Who asked is told; nobody is let in later behind their back.
		r.pass(time.Second)
		if r.table.isIn(someone) || !r.healthy() {
			t.Error("let in although the administrator was told that it failed")
		}

		// A knock that could not be acted upon yet is undone by closing.
		r.table.refuse = 2
		r.knock(7214, 8391, 6127)
		synctest.Wait()
		r.inspect = func(string) (*nft.Snapshot, error) { return &nft.Snapshot{}, nil }
		if result, err := d.Close("ssh", source); err != nil || len(result.Sources) > 0 {
			t.Errorf("close: %v, %v", result, err)
		}
		r.table.refuse = 0
		r.pass(time.Second)
		if r.table.isIn(someone) || !r.healthy() {
			t.Error("let in although the administrator has closed the door")
		}
	})
}

func TestDeskKnowsTheDoors(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		d := &desk{gate: r.gate}
		_, openErr := d.Open("mail", netip.PrefixFrom(someone, 32), 0)
		_, closeErr := d.Close("mail", netip.Prefix{})
		for _, err := range []error{openErr, closeErr} {
			e, ok := errors.AsType[*control.Error](err)
			if !ok || e.Code != http.StatusNotFound || e.Text != `no door is named "mail": there is ssh` {
				t.Errorf("%#v", err)
			}
		}
	})
}

// Since when somebody is in whose time has no end only the daemon knows.
func TestSinceForever(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		d := &desk{gate: r.gate}
		r.inspect = func(string) (*nft.Snapshot, error) {
			return &nft.Snapshot{People: []nft.Person{{Door: "ssh", Source: netip.PrefixFrom(someone, 32), Left: knock.Forever}}}, nil
		}
		since := func() time.Time {
			s, err := d.Status()
			if err != nil || len(s.People) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			return s.People[0].Since
		}
		if !since().IsZero() {
			t.Error("it knows when somebody came whom it has not seen")
		}
		now := time.Now()
		if _, err := d.Open("ssh", netip.PrefixFrom(someone, 32), knock.Forever); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Hour)
		if !since().Equal(now) {
			t.Errorf("since %v, want %v", since(), now)
		}
		r.next = func() (*config.Config, error) { return parse(t, ""), nil }
		if err := d.Reload(context.Background()); err != nil {
			t.Error(err)
		}
		if len(r.forever) > 0 {
			t.Error("it remembers who was in through doors that are no more")
		}
	})
}

func TestReloadOverTheSocket(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		d := &desk{gate: r.gate}
		for text, want := range map[string]string{
			"colour = 1\nform = 2\n":                               "unknown key",
			rehearsed + "[metrics]\nlisten = \"127.0.0.1:9722\"\n": "`[metrics]` cannot change while the daemon runs: restart it",
			"log_format = \"json\"\n" + rehearsed:                  "`log_format` cannot change while the daemon runs: restart it",
			"table = \"other\"\n" + rehearsed:                      "`table` cannot change while the daemon runs: stop it",
		} {
			r.next = func() (*config.Config, error) { return config.Parse("bad.toml", []byte(text)) }
			e, ok := errors.AsType[*control.Error](d.Reload(context.Background()))
			if !ok || e.Code != http.StatusUnprocessableEntity || !strings.Contains(e.Text, want) {
				t.Errorf("%s: %+v", text, e)
			}
		}
	})
}
