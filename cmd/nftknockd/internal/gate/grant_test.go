package gate

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/cmd/nftknockd/internal/grant"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/nft"
)

func TestOpenAndAKernelThatRefuses(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		source := grant.SourceOf(someone)
		r.table.refuse = 1
		if _, err := r.Open("ssh", source, 0); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("open: %v", err)
		}
		// Who asked is told; nobody is let in later behind their back.
		r.pass(time.Second)
		if r.table.isIn(someone) || !r.Healthy() {
			t.Error("granted although the administrator was told that it failed")
		}
		// A knock that could not be granted yet is undone by closing.
		r.table.refuse = 2
		r.knock(7214, 8391, 6127)
		synctest.Wait()
		if revoked, err := r.Revoke("ssh", source, grant.Admin); err != nil || len(revoked) > 0 {
			t.Errorf("close: %v, %v", revoked, err)
		}
		r.table.refuse = 0
		r.pass(time.Second)
		if r.table.isIn(someone) || !r.Healthy() {
			t.Error("granted although the administrator has closed the door")
		}
	})
}

func TestUnknownDoor(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		_, openErr := r.Open("mail", grant.SourceOf(someone), 0)
		_, closeErr := r.Revoke("mail", grant.Source{}, grant.Admin)
		for _, err := range []error{openErr, closeErr} {
			if _, ok := errors.AsType[*config.NoDoorError](err); !ok || err.Error() != `no door is named "mail": there is ssh` {
				t.Errorf("%#v", err)
			}
		}
	})
}

// When a grant without an end began only the daemon knows.
func TestSinceForever(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.snapshot.Grants = []nft.Grant{{Door: "ssh", Source: netip.PrefixFrom(someone, 32), Left: knock.Forever}}
		since := func() time.Time {
			s, err := r.Status()
			if err != nil || len(s.Grants) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			return s.Grants[0].Since
		}
		if !since().IsZero() {
			t.Error("it knows when a grant began that it has not seen")
		}
		now := time.Now()
		if _, err := r.Open("ssh", grant.SourceOf(someone), knock.Forever); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Hour)
		if !since().Equal(now) {
			t.Errorf("since %v, want %v", since(), now)
		}
		r.next = func() (*config.Config, error) { return parse(t, ""), nil }
		if err := r.Reload(context.Background()); err != nil {
			t.Error(err)
		}
		if len(r.state.grants.Since()) > 0 {
			t.Error("it remembers grants of doors that are gone")
		}
	})
}

func TestReloadIsRefused(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		for text, want := range map[string]string{
			"colour = 1\nform = 2\n":                               "unknown key",
			rehearsed + "[metrics]\nlisten = \"127.0.0.1:9722\"\n": "`[metrics]` cannot change while the daemon runs: restart it",
			"log_format = \"json\"\n" + rehearsed:                  "`log_format` cannot change while the daemon runs: restart it",
			"table = \"other\"\n" + rehearsed:                      "`table` cannot change while the daemon runs: stop it",
		} {
			r.next = func() (*config.Config, error) { return config.Parse("bad.toml", []byte(text)) }
			err := r.Reload(context.Background())
			if _, ok := errors.AsType[*ReloadError](err); !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %+v", text, err)
			}
		}
	})
}

// Events come in the order in which the kernel took the changes, whoever made them: who
// replays them knows who is in.
func TestEventsAreInOrder(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		events, err := r.bus.Subscribe(event.Now, event.Granted, event.Revoked)
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close()
		const each = 200
		one := grant.Grant{Door: "ssh", Prefix: netip.PrefixFrom(someone, 32), Origin: grant.Admin}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range each {
					r.Apply(one)
					r.revoke(one)
				}
			})
		}
		all.Wait()
		last := event.Event{}
		for range 4 * each * 2 {
			if last, err = events.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if in := r.table.isIn(someone); in != (last.Kind == event.Granted) {
			t.Errorf("in: %v, but the last event is %s", in, last.Kind)
		}
	})
}

// A log that cannot be written keeps no packet waiting.
func TestPacketsDoNotWaitForTheLog(t *testing.T) {
	rehearse(t, func(r *rehearsal) {
		r.logged.stuck = make(chan struct{})
		for range 100 {
			r.knock(7214, 8391, 6127)
			r.knock(6127, 8391, 7214)
		}
		r.knock(7214, 8391, 6127)
		if !r.table.isIn(someone) {
			t.Error("not granted")
		}
		close(r.logged.stuck)
	})
}
