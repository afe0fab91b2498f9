package fleet

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/integration/lab"
)

// TestShare knocks at one of three gates, and is let in by all; closes at another, and is out.
func TestShare(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 3})
	first, last := f.Gates[0], f.Gates[2]
	for _, g := range f.Gates {
		if a := g.Answer(); a != lab.Silent {
			t.Fatalf("%s is %s before anybody knocks", g.Name(), a)
		}
	}
	first.Knock(t, lab.SSHSequence...)
	for _, g := range f.Gates {
		lab.Eventually(t, g.Name()+" lets the person in", func() bool { return g.Answer() == lab.Open })
	}
	e, _ := last.Grant(t, f.Source.String())
	if grants := last.Daemon.Status(t).Grants; len(grants) != 1 || grants[0].By != "fleet" || grants[0].Key != "gate1" {
		t.Errorf("gate3 says %+v", grants)
	}
	if e.Expires > 5*time.Minute || e.Expires < 5*time.Minute-20*time.Second {
		t.Errorf("for %v at the third gate, not the five minutes of the knock", e.Expires)
	}

	last.Knock(t, "6127", "8391", "7214")
	for _, g := range f.Gates {
		lab.Eventually(t, g.Name()+" does not let the person in any more", func() bool { _, in := g.Grant(t, f.Source.String()); return !in })
		if a := g.Answer(); a != lab.Silent {
			t.Errorf("%s is %s after the close", g.Name(), a)
		}
	}
}

// TestAway kills parts while others decide: when they are back, everybody knows everything.
func TestAway(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 3})
	a, b, c := f.Gates[0], f.Gates[1], f.Gates[2]
	open := func(g *lab.Gate, source string) { t.Helper(); g.Daemon.Tell(t, "open", "ssh", source, "--for", "10m") }
	shut := func(g *lab.Gate, source string) { t.Helper(); g.Daemon.Tell(t, "close", "ssh", source) }

	// A gate whose companion was killed decides, and hears the rest when it is back.
	open(a, "192.0.2.1")
	open(a, "192.0.2.2")
	open(a, "192.0.2.11")
	lab.ExpectIn(t, "192.0.2.11", b, c)
	lab.ExpectIn(t, "192.0.2.1", b, c)
	lab.ExpectIn(t, "192.0.2.2", b, c)
	c.Companion.Stop(syscall.SIGKILL)
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.10", "--for", "5s")
	lab.ExpectIn(t, "192.0.2.10", b)
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.11", "--for", "2s") // not for ten minutes any more
	open(c, "192.0.2.3")
	open(a, "192.0.2.4")
	shut(b, "192.0.2.1")
	lab.ExpectIn(t, "192.0.2.4", b)
	lab.ExpectOut(t, "192.0.2.10", a, b) // its time is over
	c.StartCompanion(t)
	lab.ExpectIn(t, "192.0.2.3", a, b)
	lab.ExpectIn(t, "192.0.2.4", c)
	lab.ExpectOut(t, "192.0.2.1", a, b, c)
	lab.ExpectOut(t, "192.0.2.11", a, b, c)
	for _, g := range f.Gates {
		if _, in := g.Grant(t, "192.0.2.10"); in || strings.Contains(c.Daemon.Out.String(), "192.0.2.10") {
			t.Errorf("%s lets in whose time was over", g.Name())
		}
	}

	// So does one whose daemon was killed and whose table has gone, as after a reboot.
	b.Companion.Stop(syscall.SIGKILL)
	b.Daemon.Stop(syscall.SIGKILL)
	b.Run(t, "nft", "flush", "ruleset")
	open(a, "192.0.2.5")
	shut(a, "192.0.2.2")
	b.Start(t)
	lab.ExpectIn(t, "192.0.2.5", b, c)
	lab.ExpectIn(t, "192.0.2.3", b)
	lab.ExpectIn(t, "192.0.2.4", b)
	lab.ExpectOut(t, "192.0.2.2", a, b, c)

	// While NATS is away each gate works alone.
	f.NATS[0].Stop(syscall.SIGKILL)
	open(a, "192.0.2.6")
	open(b, "192.0.2.7")
	shut(c, "192.0.2.5")
	a.Knock(t, lab.SSHSequence...)
	lab.ExpectIn(t, f.Source.String(), a)
	lab.ExpectOut(t, "192.0.2.6", b)
	f.StartNATS(t, 0)
	lab.ExpectIn(t, "192.0.2.6", b, c)
	lab.ExpectIn(t, "192.0.2.7", a, c)
	lab.ExpectIn(t, f.Source.String(), b, c)
	lab.ExpectOut(t, "192.0.2.5", a, b, c)
}

// TestDoorGoes takes a door away at one gate: who is in by it stays in at the other.
func TestDoorGoes(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2, Fleet: "[door.web]\nports = [80]\nsequence = [5303, 4871, 7519]\n"})
	a, b := f.Gates[0], f.Gates[1]
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.1", "--for", "10m")
	lab.Eventually(t, "gate2 lets in", func() bool { _, in := b.Grant(t, "192.0.2.1"); return in })

	file := a.Daemon.Status(t).Daemon.File
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rest, _, _ := strings.Cut(string(text), "[door.ssh]")
	if err := os.WriteFile(file, []byte(rest), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Daemon.Tell(t, "reload")
	lab.ExpectLine(t, a.Daemon, "msg=revoked", "door=ssh", "by=reload")
	// What is shared after it has arrived after it.
	a.Daemon.Tell(t, "open", "web", "192.0.2.2", "--for", "10m")
	lab.Eventually(t, "gate2 lets in through the other door", func() bool { return len(b.Daemon.Status(t).Grants) == 2 })
	if _, in := b.Grant(t, "192.0.2.1"); !in {
		t.Error("gate2 has put out who was in by a door that gate1 has no more")
	}
}

// TestWiderElsewhere has a gate let in more with a source than the one that shares it: it shuts that, too.
func TestWiderElsewhere(t *testing.T) {
	t.Parallel()
	f := lab.NewFleet(t, lab.FleetPlan{Gates: 2})
	a, b := f.Gates[0], f.Gates[1]
	file := b.Daemon.Status(t).Daemon.File
	write(t, file, strings.Replace(read(t, file), "[door.ssh]\n", "[door.ssh]\nipv4_prefix = 24\n", 1))
	b.Daemon.Tell(t, "reload")
	in := func(g *lab.Gate) int { return len(g.Daemon.Status(t).Grants) }
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.1", "--for", "10m")
	lab.Eventually(t, "gate2 lets in", func() bool { return in(b) == 1 })
	a.Daemon.Tell(t, "open", "ssh", "192.0.2.2", "--for", "10m")
	a.Daemon.Tell(t, "close", "ssh", "--all")
	lab.Eventually(t, "gate2 lets in nobody", func() bool { return in(b) == 0 })
}
