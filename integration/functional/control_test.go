package functional

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestOpenAndClose grants and revokes as an administrator, and looks at what status
// says of them and of somebody who has knocked.
func TestOpenAndClose(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		config := lab.WriteConfig(t, lab.SSHDoorThatCloses)
		d := lab.StartDaemonFile(t, s.Server, config)

		s.Knock(t, s.Source, lab.SSHSequence...)
		s.WaitIn(t, "ssh", s.Source)
		s.Knock(t, s.Source, "7214")
		lab.Eventually(t, "the next attempt is in progress", func() bool { return d.Status(t).Daemon.InProgress > 0 })
		d.Tell(t, "open", "ssh", s.Neighbour.String(), "--for", "2h")
		s.ExpectLogin(t, sshd, s.Neighbour, 22)
		s.ExpectShut(t, s.Stranger, "22", lab.Silent)

		now := time.Now()
		state := d.Status(t)
		if !state.Running || !state.Exists || state.Table != lab.GateTable || len(state.Doors) != 1 || len(state.Grants) != 2 {
			t.Fatalf("%+v", state)
		}
		if door := state.Doors[0]; door.Name != "ssh" || fmt.Sprint(door.Ports) != "[22]" || door.Granted == 0 || door.Shut == 0 {
			t.Errorf("%+v", door)
		}
		person, neighbour := state.Grants[0], state.Grants[1]
		if person.Source != s.Source.String() || person.By != "knock" || person.Until.After(now.Add(time.Minute)) ||
			now.Sub(person.Since) < 0 || now.Sub(person.Since) > lab.Timeout {
			t.Errorf("%+v", person)
		}
		if neighbour.Source != s.Neighbour.String() || neighbour.By != "admin" || neighbour.Until.Before(now.Add(time.Hour)) {
			t.Errorf("%+v", neighbour)
		}
		page := d.Tell(t, "status")
		for line := range strings.Lines(page) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
				t.Errorf("wider than 80 columns: %s", line)
			}
		}
		for _, words := range []string{"guarding", "ssh", s.Source.String(), "knock", s.Neighbour.String(), "admin", "1h59m"} {
			if !strings.Contains(page, words) {
				t.Errorf("nothing about %q:\n%s", words, page)
			}
		}
		if strings.Contains(page, "\x1b") {
			t.Error("colours, and it is no terminal")
		}

		d.Tell(t, "close", "ssh", fmt.Sprintf("%v/%d", s.Neighbour, s.Neighbour.BitLen()))
		s.WaitOut(t, "ssh", s.Neighbour)
		s.ExpectShut(t, s.Neighbour, "22", lab.Silent)
		s.ExpectLogin(t, sshd, s.Source, 22)
		d.Tell(t, "close", "ssh", "--all")
		s.ExpectOut(t, "ssh", s.Source)

		if r := d.Ask(t, "open", "shh", s.Source.String()); r.Exit() != 1 || !strings.Contains(r.Stderr, "there is ssh") {
			t.Errorf("a wrong door: %d %s", r.Exit(), r.Stderr)
		}
		if r := d.Ask(t, "open", "ssh"); r.Exit() != 2 {
			t.Errorf("no address: %d %s", r.Exit(), r.Stderr)
		}
		lab.ExpectLine(t, d, "granted", s.Neighbour.String(), "by=admin")
		lab.ExpectLine(t, d, "revoked", s.Neighbour.String(), "by=admin")

		// What the kernel knows outlives the daemon.
		d.Tell(t, "open", "ssh", s.Neighbour.String())
		d.Stop(os.Kill)
		if page := d.Tell(t, "status", "-c", config); !strings.Contains(page, "nftknockd is not running") {
			t.Errorf("it does not say that the daemon is down:\n%s", page)
		}
		state = d.Status(t, "-c", config)
		if state.Running || !state.Exists || len(state.Grants) != 1 || state.Grants[0].Source != s.Neighbour.String() ||
			len(state.Doors) != 1 || state.Doors[0].Granted == 0 || fmt.Sprint(state.Doors[0].Ports) != "[22]" {
			t.Errorf("without the daemon: %+v", state)
		}
	})
}

// TestOpenPrefixes lets in what is narrower and wider than what a knock lets in.
func TestOpenPrefixes(t *testing.T) {
	const config = lab.SSHDoor + `
ipv4_prefix = 24
ipv6_prefix = 64
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		s.Server.ListenTCP(t, 22)
		d := lab.StartDaemon(t, s.Server, config)
		narrow, wide, wider, tooWide := 28, 22, 8, 7
		if f == lab.IPv6 {
			narrow, wide, wider, tooWide = 120, 62, 32, 31
		}
		prefix := func(bits int) string { return netip.PrefixFrom(s.Source, bits).Masked().String() }
		grants := func() string {
			var in []string
			for _, g := range d.Status(t).Grants {
				in = append(in, g.Source+" by "+g.By)
			}
			return strings.Join(in, ", ")
		}
		expect := func(want string) {
			t.Helper()
			if got := grants(); got != want {
				t.Errorf("grants: %s; want %s", got, want)
			}
		}
		refused := func(want, command string, args ...string) {
			t.Helper()
			if r := d.Ask(t, command, args...); r.Exit() != 1 || !strings.Contains(r.Stderr, want) {
				t.Errorf("%s %s: %d %s", command, strings.Join(args, " "), r.Exit(), r.Stderr)
			}
		}

		// A knock from there renews it, and puts nobody else out.
		d.Tell(t, "open", "ssh", prefix(narrow), "--for", "5m")
		s.ExpectOpen(t, s.Neighbour, "22")
		s.Knock(t, s.Source, lab.SSHSequence...)
		own := prefix(map[lab.Family]int{lab.IPv4: 24, lab.IPv6: 64}[f])
		lab.Eventually(t, "the knock counts", func() bool { return grants() == own+" by knock" })

		// A wider prefix is one grant, and one element.
		d.Tell(t, "open", "ssh", prefix(wide), "--for", "1h")
		expect(prefix(wide) + " by admin, " + own + " by knock")
		refused("still let in through door ssh with all of "+prefix(wide), "close", "ssh", prefix(narrow))
		expect(prefix(wide) + " by admin")
		s.ExpectOpen(t, s.Source, "22")
		d.Tell(t, "open", "ssh", prefix(wider), "--for", "forever")
		expect(prefix(wider) + " by admin")
		if out := d.Tell(t, "open", "ssh", prefix(wide)); !strings.Contains(out, prefix(wider)) {
			t.Errorf("it does not say what lets it in: %s", out)
		}
		set := "ssh_wide4"
		if f == lab.IPv6 {
			set = "ssh_wide6"
		}
		if listed := s.Server.Run(t, "nft", "list", "set", "inet", lab.GateTable, set); strings.Count(listed, prefix(wider)+` comment "admin"`) != 1 {
			t.Errorf("the set is %s", listed)
		}
		refused("too wide", "open", "ssh", prefix(tooWide))

		// It outlasts a reload and a restart.
		d.Tell(t, "reload")
		expect(prefix(wider) + " by admin")
		d.Stop(os.Kill)
		d = lab.StartDaemon(t, s.Server, config)
		expect(prefix(wider) + " by admin")
		s.ExpectOpen(t, s.Source, "22")
		d.Tell(t, "close", "ssh", prefix(wider))
		s.ExpectShut(t, s.Source, "22", lab.Silent)
	})
}

// TestOpenOnLink grants a link-local address access on one link.
func TestOpenOnLink(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv6)
	s.Server.ListenTCP(t, 22)
	s.Addr, s.Source = s.Server.LinkLocal(t), s.Client.LinkLocal(t)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	addr := s.Source.WithZone("").String()
	if r := d.Ask(t, "open", "ssh", addr); r.Exit() != 1 || !strings.Contains(r.Stderr, "fe80::1%eth0") {
		t.Errorf("without an interface: %d %s", r.Exit(), r.Stderr)
	}
	s.Server.Run(t, "ip", "link", "add", "other", "type", "veth", "peer", "name", "another")
	d.Tell(t, "open", "ssh", addr+"%other")
	if r := d.Ask(t, "open", "ssh", addr+"%none"); r.Exit() != 1 || !strings.Contains(r.Stderr, "no packet arrives on none") {
		t.Errorf("on an interface that is not there: %d %s", r.Exit(), r.Stderr)
	}
	s.ExpectShut(t, s.Source, "22", lab.Silent)
	source := s.Source.String()
	d.Tell(t, "open", "ssh", source)
	s.ExpectOpen(t, s.Source, "22")
	if in := d.Status(t).Grants; len(in) != 2 || in[0].Source != source || in[1].Source != addr+"%other" {
		t.Errorf("%+v", in)
	}
	d.Tell(t, "close", "ssh", source)
	s.ExpectShut(t, s.Source, "22", lab.Silent)
	d.Tell(t, "close", "ssh", addr)
	if in := d.Status(t).Grants; len(in) != 0 {
		t.Errorf("%+v", in)
	}
}

// TestCloseSaysWhoGetsIn closes one of two doors before a port, and one before an address that
// needs no door.
func TestCloseSaysWhoGetsIn(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	const annDoor = "[door.ann]\nports = [22]\nsequence = [5303, 4871, 7519]\n"
	d := lab.StartDaemon(t, s.Server, fmt.Sprintf("always_allow = [%q]\n", s.Neighbour)+lab.SSHDoor+annDoor)
	person := s.Source.String()
	d.Tell(t, "open", "ssh", person)
	d.Tell(t, "open", "ann", person, "--for", "forever")
	if said := d.Tell(t, "close", "ssh", person); said != "revoked at door ssh: "+person+"\n"+person+" still gets in: through door ann, to the same port, until revoked\n" {
		t.Error(said)
	}
	s.ExpectOpen(t, s.Source, "22")
	if said := d.Tell(t, "open", "ssh", s.Neighbour.String()); !strings.HasSuffix(said, "\n"+s.Neighbour.String()+" gets in without a grant: it is in always_allow\n") {
		t.Error(said)
	}
	if said := d.Tell(t, "close", "ssh", s.Neighbour.String()); !strings.HasSuffix(said, s.Neighbour.String()+" still gets in: it is in always_allow\n") {
		t.Error(said)
	}
	if said := d.Tell(t, "close", "ann", person); said != "revoked at door ann: "+person+"\n" {
		t.Error(said)
	}
	s.ExpectShut(t, s.Source, "22", lab.Silent)
}

// TestDoorGoes takes a door away that somebody is in by: it is told that they are out.
func TestDoorGoes(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	config := lab.WriteConfig(t, lab.SSHDoor+"[door.web]\nports = [443]\nsequence = [5303, 4871, 7519]\n")
	d := lab.StartDaemonFile(t, s.Server, config)
	d.Tell(t, "open", "web", s.Source.String(), "--for", "1h")
	d.Tell(t, "open", "ssh", s.Neighbour.String(), "--for", "1h")
	if err := os.WriteFile(config, []byte(lab.SSHDoor), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Tell(t, "reload")
	lab.ExpectLine(t, d, "msg=revoked", "door=web", s.Source.String(), "by=reload")
	if in := d.Status(t).Grants; len(in) != 1 || in[0].Source != s.Neighbour.String() || strings.Contains(d.Log(), "msg=revoked door=ssh") {
		t.Errorf("%+v", in)
	}
}

func TestReloadCommand(t *testing.T) {
	t.Parallel()
	h := lab.NewHost(t, "server")
	config := lab.WriteConfig(t, lab.SSHDoor)
	d := lab.StartDaemonFile(t, h, config)
	rewrite := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(lab.SSHDoor + "[door.web]\nports = [443]\nsequence = [5303, 4871, 7519]\n")
	d.Tell(t, "reload")
	if doors := d.Status(t).Doors; len(doors) != 2 {
		t.Errorf("%+v", doors)
	}
	rewrite("colour = 1\nform = 2\n" + lab.SSHDoor)
	r := d.Ask(t, "reload")
	if r.Exit() != 1 || !strings.Contains(r.Stderr, "toml:1: unknown key") || !strings.Contains(r.Stderr, "toml:2: unknown key") {
		t.Errorf("a bad file: %d\n%s", r.Exit(), r.Stderr)
	}
	if doors := d.Status(t).Doors; len(doors) != 2 {
		t.Errorf("%+v", doors)
	}
	if r := h.Try(t, lab.Nftknockd, "run", "-c", config, "--socket", d.Socket); r.Exit() != 1 {
		t.Errorf("a second daemon: %d %s", r.Exit(), r.Stderr)
	}
	for _, command := range [][]string{{"reload"}, {"status"}, {"open", "ssh", "192.0.2.1"}, {"close", "ssh", "192.0.2.1"}, {"why", "192.0.2.1"}, {"unmute", "192.0.2.1"}, {"watch"}} {
		args := append(command[1:], "-c", lab.WriteConfig(t, lab.SSHDoor))
		if r := d.Ask(t, command[0], args...); r.Exit() != 1 || !strings.Contains(r.Stderr, "reads "+config+", not ") {
			t.Errorf("%s of another file: %d %s", command[0], r.Exit(), r.Stderr)
		}
	}
	rewrite(lab.SSHDoor)
	d.Tell(t, "reload", "-c", config)
	d.Stop(os.Interrupt)
	if r := d.Ask(t, "reload"); r.Exit() != 1 || !strings.Contains(r.Stderr, "nftknockd is not running") {
		t.Errorf("without a daemon: %d %s", r.Exit(), r.Stderr)
	}
	if _, err := os.Stat(d.Socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}
