package functional

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nftknock/config/profile"
	"nftknock/integration/lab"
)

// TestClientOpenDoor has nobody knock at an open door, and no code spent on one, unless that
// is asked for.
func TestClientOpenDoor(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	d.Tell(t, "open", "ssh", s.Source.String())
	s.WaitIn(t, "ssh", s.Source)
	c := s.Server.Capture(t, 1)
	u := newUser(t, s.Client, home(s)+fmt.Sprintf(`
[host.code]
host = "%v"
wait = 22
otp_secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
otp_base = 40000
`, s.Addr))
	for _, name := range []string{"home", "code"} {
		if out := u.run(t, lab.Nftknock, "-v", name); !strings.HasSuffix(out, "it is: no knock is needed\n") {
			t.Errorf("%s: it says %q", name, out)
		}
	}
	for _, k := range c.Knocks(t, s.Addr) {
		if k != lab.Arrival("tcp", s.Addr, 22, 0) {
			t.Errorf("%s has arrived", k)
		}
	}
	u.run(t, lab.Nftknock, "--force", "home")
	if got := rounds(t, s, c); got != 1 {
		t.Errorf("--force has knocked %d times", got)
	}
}

// TestClientCodeAwaited uses the code of the moment up. The next program has to wait, which it says
// without a terminal too, and spends no code if the door opens meanwhile.
func TestClientCodeAwaited(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	d := lab.StartDaemon(t, s.Server, lab.SSHDoor)
	u := newUser(t, s.Client, fmt.Sprintf(`
[host.code]
host = "%v"
otp_secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
otp_base = 40000
`, s.Addr))
	lab.WaitForStep(t, 10*time.Second)
	u.run(t, lab.Nftknock, "code")
	c := s.Server.Capture(t, 1)
	p := s.Client.Start(t, u.env[0], u.with(lab.Nftknock, "--wait", "22", "code")...)
	lab.ExpectWords(t, "what it says", p.Out.String, "nftknock: waiting", "for the next one-time code")
	d.Tell(t, "open", "ssh", s.Source.String())
	lab.Eventually(t, "it ends", p.Ended)
	if !p.Cmd.ProcessState.Success() {
		t.Errorf("nftknock has ended with %v", p.Cmd.ProcessState)
	}
	for _, k := range c.Knocks(t, s.Addr) {
		if k != lab.Arrival("tcp", s.Addr, 22, 0) {
			t.Errorf("%s has arrived", k)
		}
	}
}

// TestClientLeavesNoTrace waits for a real sshd, which has nothing to log of it, and so fail2ban
// nothing to count, whether the door was open or not. A session is what proves that it does log.
func TestClientLeavesNoTrace(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		s := lab.NewTopology(t, f)
		sshd := lab.StartSSHD(t, s.Server, 22)
		lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
		u := newUser(t, s.Client, home(s))
		for range 5 {
			u.run(t, lab.Nftknock, "home") // shut
			u.run(t, lab.Nftknock, "home") // open
			s.Knock(t, s.Source, lab.SSHCloseSequence...)
			s.WaitOut(t, "ssh", s.Source)
		}
		u.run(t, lab.Nftknock, "home")
		s.ExpectLogin(t, sshd, s.Source, 22)
		lab.ExpectWords(t, "sshd's log", sshd.Log, "Accepted publickey")
		for line := range strings.Lines(sshd.Log()) {
			if before, _, _ := strings.Cut(line, "Accepted publickey"); before == "" {
				break
			}
			if !strings.HasPrefix(line, "Server listening") {
				t.Errorf("sshd has logged %q", line)
			}
		}
	})
}

// TestClientAdd brings a profile to a client in a line, and goes through the door with what ssh_config
// is told to be, by the profile's name, by the server's address, and through it with -J.
func TestClientAdd(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	sshd := lab.StartSSHD(t, s.Server, 22)
	lab.StartDaemon(t, s.Server, lab.SSHDoorThatCloses)
	u := newUser(t, s.Client, home(s))
	line := lineOf(t, s)
	r := s.Client.RunWith(t, line, u.env[0], u.with(lab.Nftknock, "add", "--name", "gate")...)
	way := strings.ReplaceAll(r, "ProxyCommand nftknock", "ProxyCommand "+lab.Nftknock)
	way = strings.ReplaceAll(way, `exec "nftknock`, `exec "`+lab.Nftknock)
	first, second, ok := strings.Cut(way, "# Or, ")
	if !ok {
		t.Fatalf("add says:\n%s", way)
	}
	_, second, _ = strings.Cut(second, "\n")
	for name, way := range map[string]string{
		"ProxyCommand":            first,
		"Match":                   strings.ReplaceAll(second, "#", ""),
		"Match behind a HostName": "Host gate\n HostName " + s.Addr.String() + "\n" + strings.ReplaceAll(second, "#", ""),
	} {
		ssh := sshConfig(t, sshd, way)
		for _, args := range [][]string{
			{"gate", "echo", "hello"},
			{s.Addr.String(), "echo", "hello"},
			{"-J", s.Addr.String(), "root@127.0.0.1", "echo", "hello"},
		} {
			out := u.run(t, "ssh", append([]string{"-F", ssh}, args...)...)
			if out != "hello\n" {
				t.Errorf("%s: ssh %s: %q", name, strings.Join(args, " "), out)
			}
			s.WaitIn(t, "ssh", s.Source)
			s.Knock(t, s.Source, lab.SSHCloseSequence...)
			s.WaitOut(t, "ssh", s.Source)
		}
	}
}

// lineOf is what the server prints of its door.
func lineOf(t *testing.T, s *lab.Topology) string {
	t.Helper()
	profiles, err := profile.Parse("", []byte(home(s)))
	if err != nil {
		t.Fatal(err)
	}
	line, err := profiles[0].Line("")
	if err != nil {
		t.Fatal(err)
	}
	return line + "\n"
}
