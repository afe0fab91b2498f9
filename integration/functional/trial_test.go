package functional

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// startTrial starts a trial, and returns when the doors are shut.
func startTrial(t *testing.T, s *lab.Topology, config string, args ...string) *lab.Process {
	t.Helper()
	p, _ := startTrialAt(t, s, lab.NewSocket(t), config, args...)
	return p
}

// startTrialAt is startTrial with a socket to ask at.
func startTrialAt(t *testing.T, s *lab.Topology, socket, config string, args ...string) (*lab.Process, *lab.Daemon) {
	t.Helper()
	if !lab.CanOwn(t) {
		t.Skip("this kernel has no tables with an owner, which a trial needs: Linux 5.12 or newer")
	}
	cmd := lab.Command(context.Background(), t, lab.Nftknockd, append([]string{"trial", "--socket", socket, "-c", lab.WriteConfig(t, config)}, args...)...)
	p := s.Server.StartCmd(t, cmd)
	awaitTrial(t, s, p)
	return p, &lab.Daemon{Process: p, Host: s.Server, Socket: socket}
}

func awaitTrial(t *testing.T, s *lab.Topology, p *lab.Process) {
	t.Helper()
	lab.Eventually(t, "the doors are shut", func() bool {
		if p.Ended() {
			t.Fatalf("the trial has ended: %v", p.Cmd.ProcessState)
		}
		return s.Server.HasTable(t) && strings.Contains(p.Out.String(), "on trial")
	})
}

// expectUndone makes sure that nothing is left of a trial, and that a session which
// was up before it still is.
func expectUndone(t *testing.T, s *lab.Topology, session *lab.Session) {
	t.Helper()
	lab.Eventually(t, "the table is gone", func() bool { return !s.Server.HasTable(t) })
	s.ExpectOpen(t, s.Stranger, "22")
	session.ExpectEcho(t, "still here")
}

// TestTrialKept has somebody knock: the table outlives the trial, and the daemon
// takes it over.
func TestTrialKept(t *testing.T) {
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		for _, own := range []string{"auto", "no"} {
			t.Run("own_table="+own, func(t *testing.T) {
				t.Parallel()
				config := fmt.Sprintf("own_table = %q\non_stop = \"remove\"\n", own) + lab.SSHDoor + "open_timeout = \"10m\"\n"
				s := lab.NewTopology(t, f)
				sshd := lab.StartSSHD(t, s.Server, 22)
				session := s.LogIn(t, sshd, s.Source, 22)
				p, d := startTrialAt(t, s, lab.NewSocket(t), config)
				lab.ExpectWords(t, "status", func() string { return d.Tell(t, "status") }, "on trial: what was before comes back in")
				if r := d.Ask(t, "reload"); r.Exit() != 1 || !strings.Contains(r.Stderr, "is on trial") {
					t.Errorf("a reload: exit %d: %s", r.Exit(), r.Stderr)
				}
				s.ExpectShut(t, s.Source, "22", lab.Silent)
				session.ExpectEcho(t, "still here")

				s.RunKnock(t, "50", lab.SSHSequence...)
				s.WaitIn(t, "ssh", s.Source)
				s.ExpectLogin(t, sshd, s.Source, 22)
				lab.Eventually(t, "the trial has passed", func() bool {
					said := p.Out.String()
					return strings.Contains(said, fmt.Sprintf("%v came in through door ssh: the table is kept.\n", s.Source)) &&
						strings.Contains(said, "This process goes on guarding, until it is stopped. For good: nftknockd run -c /")
				})
				// Nobody is shut out because the terminal hangs up now.
				p.Cmd.Process.Signal(unix.SIGHUP)
				if status := d.Tell(t, "status"); !strings.HasPrefix(status, "guarding\n") || !strings.Contains(status, s.Source.String()) {
					t.Errorf("status after the trial:\n%s", status)
				}
				d.Tell(t, "reload")
				s.Knock(t, s.Neighbour, lab.SSHSequence...)
				s.WaitIn(t, "ssh", s.Neighbour)
				if !p.Stop(unix.SIGTERM) || p.Cmd.ProcessState.ExitCode() != 0 {
					t.Fatalf("it ended with %v", p.Cmd.ProcessState)
				}
				lab.ExpectSecret(t, &lab.Daemon{Process: p, Host: s.Server}, lab.SSHSequence)
				s.ExpectLogin(t, sshd, s.Source, 22)
				s.ExpectShut(t, s.Stranger, "22", lab.Silent)
				if tables := s.Server.Run(t, "nft", "list", "tables"); strings.Count(tables, lab.GateTable) != 1 {
					t.Errorf("more than one table is left:\n%s", tables)
				}

				if r := d.Ask(t, "trial", "-c", lab.WriteConfig(t, config)); r.Exit() != 1 || !strings.Contains(r.Stderr, "is there already") {
					t.Errorf("a second trial: exit %d: %s", r.Exit(), r.Stderr)
				}
				lab.StartDaemon(t, s.Server, config)
				s.WaitIn(t, "ssh", s.Source)
				s.ExpectShut(t, s.Stranger, "22", lab.Silent)
			})
		}
	})
}

// TestTrialEnds ends a trial in each way. Nobody has knocked, or not all of it.
func TestTrialEnds(t *testing.T) {
	ends := map[string]func(t *testing.T, s *lab.Topology, p *lab.Process){
		"killed":      func(_ *testing.T, _ *lab.Topology, p *lab.Process) { p.Stop(unix.SIGKILL) },
		"hung up":     func(_ *testing.T, _ *lab.Topology, p *lab.Process) { p.Stop(unix.SIGHUP) },
		"interrupted": func(_ *testing.T, _ *lab.Topology, p *lab.Process) { p.Stop(unix.SIGINT) },
		"terminated":  func(_ *testing.T, _ *lab.Topology, p *lab.Process) { p.Stop(unix.SIGTERM) },
		"time is over": func(t *testing.T, s *lab.Topology, p *lab.Process) {
			s.Knock(t, s.Source, lab.SSHSequence[:2]...)
			<-p.Done
			if said := p.Out.String(); !strings.Contains(said, "nobody has knocked a whole sequence") {
				t.Error(said)
			}
		},
	}
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lab.NewTopology(t, lab.IPv4)
			sshd := lab.StartSSHD(t, s.Server, 22)
			session := s.LogIn(t, sshd, s.Source, 22)
			p := startTrial(t, s, lab.SSHDoor, "--for", "10s")
			s.ExpectShut(t, s.Stranger, "22", lab.Silent)

			end(t, s, p)
			if code := p.Cmd.ProcessState.ExitCode(); code != 1 && name != "killed" {
				t.Errorf("exit %d", code)
			}
			expectUndone(t, s, session)
		})
	}
}

// TestTrialTerminal runs a trial on a terminal, where it counts down in one line and
// cannot be stopped, until the terminal hangs up.
func TestTrialTerminal(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	sshd := lab.StartSSHD(t, s.Server, 22)
	session := s.LogIn(t, sshd, s.Source, 22)

	terminal, slave := newTerminal(t)
	cmd := lab.Command(context.Background(), t, lab.Nftknockd, "trial", "--socket", lab.NewSocket(t), "-c", lab.WriteConfig(t, lab.SSHDoor))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := s.Server.StartCmd(t, cmd)
	slave.Close()
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := terminal.Read(b)
			if err != nil {
				return
			}
			p.Out.Write(b[:n])
		}
	}()
	awaitTrial(t, s, p)
	const ctrlZ = "\x1a"
	if _, err := terminal.WriteString(ctrlZ); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "it counts down in one line", func() bool {
		return strings.Count(p.Out.String(), " left") > 2
	})
	if said := p.Out.String(); !strings.Contains(said, "\r1:5") || strings.Contains(said, "left\r\n") {
		t.Errorf("%q", said)
	}
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)

	terminal.Close()
	<-p.Done
	expectUndone(t, s, session)
}

// newTerminal returns both ends of a pseudo-terminal (pty(7)).
func newTerminal(t *testing.T) (terminal, slave *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	// Not Fd, which would have a Close wait for a Read.
	raw, err := terminal.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		if n, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); ioctl == nil {
			ioctl = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
	})
	if err := errors.Join(err, ioctl); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return terminal, slave
}
