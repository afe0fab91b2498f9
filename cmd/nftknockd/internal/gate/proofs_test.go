package gate

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/cmd/nftknockd/internal/event"
	"nftknock/config"
	"nftknock/knock"
	"nftknock/knock/spa"
)

const packetDoors = `
[door.ssh]
ports = [22]
spa_keys = ["alice.spa", "bob.spa"]
open_timeout = "1m"
[door.web]
ports = [80, 443]
spa_keys = ["alice.spa"]
spa_any_source = true
open_timeout = "forever"
close_sequence = [9214, 5391, 2127]
[door.dns]
ports = ["53:udp"]
spa_keys = ["bob.spa"]
`

// loadPackets loads a configuration with key files made for it.
func loadPackets(t *testing.T, text string) (cfg *config.Config, alice, bob spa.Key) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	alice, bob = spa.NewKey("alice"), spa.NewKey("bob")
	write("alice.spa", alice.File())
	write("bob.spa", bob.File())
	write("nftknockd.toml", text)
	cfg, err := config.Load(filepath.Join(dir, "nftknockd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, alice, bob
}

func ask(source string, ports ...string) spa.Request {
	r := spa.Request{User: "somebody", Source: netip.MustParseAddr(source)}
	for _, p := range ports {
		port, err := knock.ParsePort(p)
		if err != nil {
			panic(err)
		}
		r.Ports = append(r.Ports, port)
	}
	return r
}

// send has a packet arrive, and all be done that follows.
func (r *rehearsal) send(from string, payload []byte) {
	r.observe(time.Now(), knock.Packet{
		Source: netip.MustParseAddr(from), SourcePort: 40000, Port: knock.Port{Number: 62201, Proto: knock.UDP},
	}, payload)
	synctest.Wait()
}

// made returns a packet made now.
func made(t *testing.T, key spa.Key, r spa.Request) []byte {
	t.Helper()
	payload, err := key.Seal(r, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestPackets(t *testing.T) {
	cfg, alice, bob := loadPackets(t, packetDoors)
	stranger := spa.NewKey("stranger")
	const from = "198.51.100.9"
	for _, tt := range []struct {
		name   string
		key    spa.Key
		ask    spa.Request
		door   string // "" is none
		source string // let in, if it is not the one asked for
		lasts  time.Duration
		why    string
		count  string
	}{
		{name: "granted", key: alice, ask: ask("192.0.2.7", "22"), door: "ssh", lasts: time.Minute},
		{name: "other person", key: bob, ask: ask("192.0.2.7", "22"), door: "ssh", lasts: time.Minute},
		{name: "IPv6", key: bob, ask: ask("2001:db8::7", "22"), door: "ssh", lasts: time.Minute},
		{name: "two ports of a door", key: alice, ask: ask("192.0.2.7", "443", "80"), door: "web"},
		{name: "UDP", key: bob, ask: ask("192.0.2.7", "53:udp"), door: "dns", lasts: time.Minute},
		{name: "shorter", key: alice, ask: withTimeout(ask("192.0.2.7", "22"), 5*time.Second), door: "ssh", lasts: 5 * time.Second},
		{name: "longer than the door allows", key: alice, ask: withTimeout(ask("192.0.2.7", "22"), time.Hour), door: "ssh", lasts: time.Minute},
		{name: "shorter than forever", key: alice, ask: withTimeout(ask("192.0.2.7", "80"), time.Hour), door: "web", lasts: time.Hour},
		{name: "where it comes from", key: alice, ask: ask("0.0.0.0", "80"), door: "web", source: from},

		{name: "where it comes from, not allowed", key: alice, ask: ask("0.0.0.0", "22"), why: "takes the door's spa_any_source", count: "no_door"},
		{name: "door of another key", key: alice, ask: ask("192.0.2.7", "53:udp"), why: "no door of the key guards", count: "no_door"},
		{name: "ports of two doors", key: alice, ask: ask("192.0.2.7", "22", "80"), why: "no door of the key guards", count: "no_door"},
		{name: "port of no door", key: alice, ask: ask("192.0.2.7", "8080"), why: "no door of the key guards", count: "no_door"},
		{name: "port of another protocol", key: bob, ask: ask("192.0.2.7", "53"), why: "no door of the key guards", count: "no_door"},
		{name: "wrong key", key: stranger, ask: ask("192.0.2.7", "22"), count: "no_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rehearseConfig(t, cfg, func(r *rehearsal) {
				events, err := r.Watch()
				if err != nil {
					t.Fatal(err)
				}
				defer events.Close()
				now := time.Now()
				payload := made(t, tt.key, tt.ask)
				r.send(from, payload)
				status, err := r.Status()
				if err != nil {
					t.Fatal(err)
				}
				if tt.count != "" && status.Daemon.SPARefused[tt.count] != 1 {
					t.Errorf("counted: %v", status.Daemon.SPARefused)
				}
				if tt.door == "" {
					if len(r.table.in) > 0 {
						t.Errorf("let in: %v", r.table.in)
					}
					if tt.why != "" {
						e := nextEvent(t, events)
						if e.Kind != event.Refused || e.By != "spa" || e.Key != tt.key.Name || e.Source != from || !strings.Contains(e.Text, tt.why) {
							t.Errorf("%+v", e)
						}
					}
					return
				}
				source := tt.source
				if source == "" {
					source = tt.ask.Source.String()
				}
				e := nextEvent(t, events)
				if e.Kind != event.Granted || e.Door != tt.door || e.Source != source || e.By != "spa" || e.Key != tt.key.Name {
					t.Errorf("%+v", e)
				}
				if tt.lasts == 0 != e.Until.IsZero() || tt.lasts != 0 && !e.Until.Equal(now.Add(tt.lasts)) {
					t.Errorf("until %v, now is %v", e.Until, now)
				}
				if !r.table.isIn(netip.MustParseAddr(source)) || r.table.comment != "spa "+tt.key.Name {
					t.Errorf("the kernel holds %v, %q", r.table.in, r.table.comment)
				}

				// Never again, wherever it comes from.
				clear(r.table.in)
				for _, again := range []string{from, "192.0.2.99"} {
					r.send(again, payload)
					if e := nextEvent(t, events); e.Kind != event.Refused || e.Source != again || e.Key != tt.key.Name || e.Text != "the packet was used before" {
						t.Errorf("%+v", e)
					}
				}
				if len(r.table.in) > 0 {
					t.Errorf("let in by a replay: %v", r.table.in)
				}
			})
		})
	}
}

func withTimeout(r spa.Request, d time.Duration) spa.Request {
	r.Timeout = d
	return r
}

func nextEvent(t *testing.T, w *event.Watcher) event.Event {
	t.Helper()
	synctest.Wait()
	select {
	case e := <-w.Events():
		return e
	default:
		t.Fatal("no event")
		return event.Event{}
	}
}

// TestPacketClock has clocks that are off by what is allowed and a second more.
func TestPacketClock(t *testing.T) {
	cfg, alice, _ := loadPackets(t, packetDoors)
	for _, off := range []time.Duration{cfg.SPA.MaxAge, -cfg.SPA.MaxAge, cfg.SPA.MaxAge + time.Second, -cfg.SPA.MaxAge - time.Second} {
		rehearseConfig(t, cfg, func(r *rehearsal) {
			payload, err := alice.Seal(ask("192.0.2.7", "22"), time.Now().Add(off))
			if err != nil {
				t.Fatal(err)
			}
			r.send("192.0.2.7", payload)
			if want := max(off, -off) <= cfg.SPA.MaxAge; r.table.isIn(someAsker) != want {
				t.Errorf("%v: let in: %v", off, !want)
			}
			if !strings.Contains(r.logged.String(), "by=spa key=alice") {
				t.Errorf("%v: logged\n%s", off, &r.logged)
			}
		})
	}
}

var someAsker = netip.MustParseAddr("192.0.2.7")

// TestPacketReload locks out somebody whose key file was taken out, and lets in who is new.
func TestPacketReload(t *testing.T) {
	cfg, alice, bob := loadPackets(t, packetDoors)
	rehearseConfig(t, cfg, func(r *rehearsal) {
		spent := made(t, bob, ask("192.0.2.7", "22"))
		r.send("192.0.2.7", spent)
		if !r.table.isIn(someAsker) {
			t.Fatal("bob is not in")
		}
		reloaded := *cfg
		reloaded.SPA.Doors = map[string]config.SPADoor{"ssh": {Keys: cfg.SPA.Doors["ssh"].Keys[1:]}}
		r.next = func() (*config.Config, error) { return &reloaded, nil }
		if err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		clear(r.table.in)
		r.send("192.0.2.7", made(t, alice, ask("192.0.2.7", "22")))
		r.send("192.0.2.7", spent)
		if r.table.isIn(someAsker) {
			t.Error("let in by a key that was taken out, or a packet that was used")
		}
		r.send("192.0.2.7", made(t, bob, ask("192.0.2.7", "22")))
		if !r.table.isIn(someAsker) {
			t.Error("bob is not in after the reload")
		}

		none := *cfg
		none.SPA.Doors = nil
		r.next = func() (*config.Config, error) { return &none, nil }
		if err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		clear(r.table.in)
		r.send("192.0.2.7", made(t, bob, ask("192.0.2.7", "22")))
		if r.table.isIn(someAsker) {
			t.Error("let in, and no door takes packets")
		}
	})
}

// TestPacketTwins: of copies that arrive together one opens.
func TestPacketTwins(t *testing.T) {
	cfg, alice, _ := loadPackets(t, packetDoors)
	rehearseConfig(t, cfg, func(r *rehearsal) {
		payload := made(t, alice, ask("192.0.2.7", "22"))
		for range 50 {
			r.observe(time.Now(), knock.Packet{Source: someAsker, Port: cfg.SPA.Port}, payload)
		}
		synctest.Wait()
		status, err := r.Status()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(r.logged.String(), "msg=granted"); n != 1 || status.Daemon.SPARefused["replayed"] != 49 {
			t.Errorf("%d grants, refused: %v", n, status.Daemon.SPARefused)
		}
	})
}

// TestPacketNotRecorded: without a state directory nothing opens, and with it the same
// packet does.
func TestPacketNotRecorded(t *testing.T) {
	cfg, alice, _ := loadPackets(t, packetDoors)
	rehearseConfig(t, cfg, func(r *rehearsal) {
		blocked := filepath.Join(string(r.deps.State), "spa")
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		payload := made(t, alice, ask("192.0.2.7", "22"))
		r.send("192.0.2.7", payload)
		if r.table.isIn(someAsker) || !strings.Contains(r.logged.String(), "cannot tell whether the packet was used before") {
			t.Errorf("let in, or not said why:\n%s", &r.logged)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		r.send("192.0.2.7", payload)
		if !r.table.isIn(someAsker) {
			t.Error("not in, although it can be recorded")
		}
	})
}

// TestPacketGarbage: strangers' packets are counted, logged now and then, and mute nobody.
func TestPacketGarbage(t *testing.T) {
	cfg, alice, _ := loadPackets(t, packetDoors+"[door.knocked]\nports = [25]\nsequence = [7214, 8391, 6127]\n")
	stranger := spa.NewKey("stranger")
	rehearseConfig(t, cfg, func(r *rehearsal) {
		for range 20 {
			r.send(someone.String(), []byte(strings.Repeat("8", 204)))
			r.send(someone.String(), []byte("short"))
			r.send(someone.String(), nil)
			r.send(someone.String(), made(t, stranger, ask("192.0.2.7", "22")))
		}
		status, err := r.Status()
		if err != nil {
			t.Fatal(err)
		}
		if c := status.Daemon.SPARefused; c["size"] != 40 || c["encoding"]+c["no_key"] != 40 || status.Daemon.Muted != 0 {
			t.Errorf("refused: %v, muted: %d", c, status.Daemon.Muted)
		}
		if n := strings.Count(r.logged.String(), "packet refused"); n != 1 {
			t.Errorf("%d lines logged:\n%s", n, &r.logged)
		}
		r.pass(20 * time.Second) // one is logged every ten
		// fwknop without an HMAC: the log says so.
		text, _, _ := strings.Cut(string(made(t, alice, ask("192.0.2.7", "22"))), "\x00")
		r.send(someone.String(), []byte(text[:len(text)-43]))
		if !strings.Contains(r.logged.String(), "why=\"no HMAC: fwknop needs --use-hmac\" key=alice") {
			t.Errorf("logged:\n%s", &r.logged)
		}
		r.knock(7214, 8391, 6127)
		if !r.table.isIn(someone) {
			t.Error("somebody cannot knock whose address was used for garbage")
		}
		for _, secret := range []string{text[:20], fmt.Sprint(alice.Base64())[:12]} {
			if strings.Contains(r.logged.String(), secret) {
				t.Error("the log shows a packet or a key")
			}
		}
	})
}
