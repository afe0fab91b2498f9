package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// ask runs a command of nftknockd that talks to the daemon.
func (d *daemon) ask(t testing.TB, command string, args ...string) result {
	t.Helper()
	return d.host.try(t, program, append([]string{command, "--socket", d.socket}, args...)...)
}

// tell is ask for what has to succeed.
func (d *daemon) tell(t testing.TB, command string, args ...string) string {
	t.Helper()
	r := d.ask(t, command, args...)
	if r.err != nil {
		t.Fatalf("nftknockd %s %v: %v\n%s", command, args, r.err, r.stderr)
	}
	return r.stdout
}

// A status is what scripts rely on of `nftknockd status --json`.
type status struct {
	Running bool
	Table   string
	Exists  bool
	Daemon  *struct {
		InProgress   int    `json:"in_progress"`
		MessagesLost uint64 `json:"messages_lost"`
	}
	Doors []struct {
		Name     string
		Ports    []string
		Accepted uint64 `json:"accepted_packets"`
		Shut     uint64 `json:"shut_packets"`
	}
	Grants []struct {
		Door, Source, By string
		Since, Until     time.Time
	}
}

func (d *daemon) status(t testing.TB, args ...string) status {
	t.Helper()
	var s status
	if err := json.Unmarshal([]byte(d.tell(t, "status", append(args, "--json")...)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHands grants and revokes as an administrator, and looks at what status
// says of them and of somebody who has knocked.
func TestHands(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		sshd := startSSHD(t, s.server, 22)
		config := writeConfig(t, sshDoorThatCloses)
		d := startDaemonFile(t, s.server, config)

		s.knock(t, s.person, sshSequence...)
		s.waitIn(t, "ssh", s.person)
		s.knock(t, s.person, "7214")
		eventually(t, "the next attempt is in progress", func() bool { return d.status(t).Daemon.InProgress > 0 })
		d.tell(t, "open", "ssh", s.neighbour.String(), "--for", "2h")
		s.expectLogin(t, sshd, s.neighbour, 22)
		s.expectShut(t, s.stranger, "22", silent)

		now := time.Now()
		state := d.status(t)
		if !state.Running || !state.Exists || state.Table != gateTable || len(state.Doors) != 1 || len(state.Grants) != 2 {
			t.Fatalf("%+v", state)
		}
		if door := state.Doors[0]; door.Name != "ssh" || fmt.Sprint(door.Ports) != "[22]" || door.Accepted == 0 || door.Shut == 0 {
			t.Errorf("%+v", door)
		}
		person, neighbour := state.Grants[0], state.Grants[1]
		if person.Source != s.person.String() || person.By != "knock" || person.Until.After(now.Add(time.Minute)) ||
			now.Sub(person.Since) < 0 || now.Sub(person.Since) > aWhile {
			t.Errorf("%+v", person)
		}
		if neighbour.Source != s.neighbour.String() || neighbour.By != "admin" || neighbour.Until.Before(now.Add(time.Hour)) {
			t.Errorf("%+v", neighbour)
		}
		page := d.tell(t, "status")
		for line := range strings.Lines(page) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
				t.Errorf("wider than 80 columns: %s", line)
			}
		}
		for _, words := range []string{"guarding", "ssh", s.person.String(), "knock", s.neighbour.String(), "admin", "1h59m"} {
			if !strings.Contains(page, words) {
				t.Errorf("nothing about %q:\n%s", words, page)
			}
		}
		if strings.Contains(page, "\x1b") {
			t.Error("colours, and it is no terminal")
		}

		d.tell(t, "close", "ssh", fmt.Sprintf("%v/%d", s.neighbour, s.neighbour.BitLen()))
		s.waitOut(t, "ssh", s.neighbour)
		s.expectShut(t, s.neighbour, "22", silent)
		s.expectLogin(t, sshd, s.person, 22)
		d.tell(t, "close", "ssh", "--all")
		s.expectOut(t, "ssh", s.person)

		if r := d.ask(t, "open", "shh", s.person.String()); r.exit() != 1 || !strings.Contains(r.stderr, "there is ssh") {
			t.Errorf("a wrong door: %d %s", r.exit(), r.stderr)
		}
		if r := d.ask(t, "open", "ssh"); r.exit() != 2 {
			t.Errorf("no address: %d %s", r.exit(), r.stderr)
		}
		expectLine(t, d, "granted", s.neighbour.String(), "by=admin")
		expectLine(t, d, "revoked", s.neighbour.String(), "by=admin")

		// What the kernel knows outlives the daemon.
		d.tell(t, "open", "ssh", s.neighbour.String())
		d.stop(os.Kill)
		if page := d.tell(t, "status", "-c", config); !strings.Contains(page, "nftknockd is not running") {
			t.Errorf("it does not say that the daemon is down:\n%s", page)
		}
		state = d.status(t, "-c", config)
		if state.Running || !state.Exists || len(state.Grants) != 1 || state.Grants[0].Source != s.neighbour.String() ||
			len(state.Doors) != 1 || state.Doors[0].Accepted == 0 || fmt.Sprint(state.Doors[0].Ports) != "[22]" {
			t.Errorf("without the daemon: %+v", state)
		}
	})
}

// TestHandsAndPrefixes lets in what is narrower and wider than what a knock lets in.
func TestHandsAndPrefixes(t *testing.T) {
	const config = sshDoor + `
ipv4_prefix = 24
ipv6_prefix = 64
`
	eachFamily(t, func(t *testing.T, f family) {
		s := newSite(t, f)
		s.server.listenTCP(t, 22)
		d := startDaemon(t, s.server, config)
		narrow, wide, tooWide := 28, 22, 15
		if f == ipv6 {
			narrow, wide, tooWide = 120, 62, 55
		}
		prefix := func(bits int) string { return fmt.Sprintf("%v/%d", s.person, bits) }

		// A knock from there renews it, and puts nobody else out.
		d.tell(t, "open", "ssh", prefix(narrow), "--for", "5m")
		s.expectOpen(t, s.neighbour, "22")
		s.knock(t, s.person, sshSequence...)
		eventually(t, "the knock counts", func() bool { p := d.status(t).Grants; return len(p) == 1 && p[0].By == "knock" })

		d.tell(t, "open", "ssh", prefix(wide), "--for", "forever")
		if p := d.status(t).Grants; len(p) != 4 || !p[0].Until.IsZero() {
			t.Errorf("%+v", p)
		}
		d.tell(t, "close", "ssh", prefix(narrow))
		if p := d.status(t).Grants; len(p) != 3 {
			t.Errorf("%+v", p)
		}
		s.expectShut(t, s.person, "22", silent)
		if r := d.ask(t, "open", "ssh", prefix(tooWide)); r.exit() != 1 || !strings.Contains(r.stderr, "too wide") {
			t.Errorf("%d %s", r.exit(), r.stderr)
		}
	})
}

func TestReloadCommand(t *testing.T) {
	t.Parallel()
	h := newHost(t, "server")
	config := writeConfig(t, sshDoor)
	d := startDaemonFile(t, h, config)
	rewrite := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(sshDoor + "[door.web]\nports = [443]\nsequence = [5303, 4871, 7519]\n")
	d.tell(t, "reload")
	if doors := d.status(t).Doors; len(doors) != 2 {
		t.Errorf("%+v", doors)
	}
	rewrite("colour = 1\nform = 2\n" + sshDoor)
	r := d.ask(t, "reload")
	if r.exit() != 1 || !strings.Contains(r.stderr, "toml:1: unknown key") || !strings.Contains(r.stderr, "toml:2: unknown key") {
		t.Errorf("a bad file: %d\n%s", r.exit(), r.stderr)
	}
	if doors := d.status(t).Doors; len(doors) != 2 {
		t.Errorf("%+v", doors)
	}
	if r := h.try(t, program, "run", "-c", config, "--socket", d.socket); r.exit() != 1 {
		t.Errorf("a second daemon: %d %s", r.exit(), r.stderr)
	}
	d.stop(os.Interrupt)
	if r := d.ask(t, "reload"); r.exit() != 1 || !strings.Contains(r.stderr, "nftknockd is not running") {
		t.Errorf("without a daemon: %d %s", r.exit(), r.stderr)
	}
	if _, err := os.Stat(d.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}
