package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// startTrial starts a trial, and returns when the doors are shut.
func startTrial(t *testing.T, s *site, config string, args ...string) *process {
	t.Helper()
	cmd := command(context.Background(), t, program, append([]string{"trial", "-c", writeConfig(t, config)}, args...)...)
	p := s.server.startCmd(t, cmd)
	s.awaitTrial(t, p)
	return p
}

func (s *site) awaitTrial(t *testing.T, p *process) {
	t.Helper()
	eventually(t, "the doors are shut", func() bool {
		if p.ended() {
			t.Fatalf("the trial has ended: %v", p.cmd.ProcessState)
		}
		return s.server.hasTable(t) && strings.Contains(p.out.String(), "on trial")
	})
}

func (h *host) hasTable(t *testing.T) bool {
	t.Helper()
	return strings.Contains(h.run(t, "nft", "list", "tables"), "table inet "+gateTable)
}

// expectUndone makes sure that nothing is left of a trial, and that a session which
// was up before it still is.
func (s *site) expectUndone(t *testing.T, session *session) {
	t.Helper()
	eventually(t, "the table is gone", func() bool { return !s.server.hasTable(t) })
	s.expectOpen(t, s.stranger, "22")
	session.expectEcho(t, "still here")
}

// TestTrialKept has somebody knock: the table outlives the trial, and the daemon
// takes it over.
func TestTrialKept(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		for _, own := range []string{"auto", "no"} {
			t.Run("own_table="+own, func(t *testing.T) {
				t.Parallel()
				config := fmt.Sprintf("own_table = %q\non_stop = \"remove\"\n", own) + sshDoor + "open_timeout = \"10m\"\n"
				s := newSite(t, f)
				sshd := startSSHD(t, s.server, 22)
				session := s.logIn(t, sshd, s.person, 22)
				p := startTrial(t, s, config)
				s.expectShut(t, s.person, "22", silent)
				session.expectEcho(t, "still here")

				s.client.run(t, "knock", append([]string{"-d", "50", s.addr.String()}, sshSequence...)...)
				<-p.done
				said := p.out.String()
				if code := p.cmd.ProcessState.ExitCode(); code != 0 {
					t.Fatalf("exit %d", code)
				}
				for _, want := range []string{
					fmt.Sprintf("%v was let in through door ssh: the table is kept.\n", s.person),
					"until the daemon runs, which hears the knocks: nftknockd run -c /",
				} {
					if !strings.Contains(said, want) {
						t.Errorf("%q is not in\n%s", want, said)
					}
				}
				expectSecret(t, &daemon{process: p, host: s.server}, sshSequence)
				s.expectLogin(t, sshd, s.person, 22)
				s.expectShut(t, s.neighbour, "22", silent)
				if tables := s.server.run(t, "nft", "list", "tables"); strings.Count(tables, gateTable) != 1 {
					t.Errorf("more than one table is left:\n%s", tables)
				}

				if r := s.server.try(t, program, "trial", "-c", writeConfig(t, config)); r.exit() != 1 || !strings.Contains(r.stderr, "is there already") {
					t.Errorf("a second trial: exit %d: %s", r.exit(), r.stderr)
				}
				startDaemon(t, s.server, config)
				s.waitIn(t, "ssh", s.person)
				s.expectShut(t, s.neighbour, "22", silent)
			})
		}
	})
}

// TestTrialEnds ends a trial in each way. Nobody has knocked, or not all of it.
func TestTrialEnds(t *testing.T) {
	ends := map[string]func(t *testing.T, s *site, p *process){
		"killed":      func(_ *testing.T, _ *site, p *process) { p.stop(unix.SIGKILL) },
		"hung up":     func(_ *testing.T, _ *site, p *process) { p.stop(unix.SIGHUP) },
		"interrupted": func(_ *testing.T, _ *site, p *process) { p.stop(unix.SIGINT) },
		"terminated":  func(_ *testing.T, _ *site, p *process) { p.stop(unix.SIGTERM) },
		"time is over": func(t *testing.T, s *site, p *process) {
			s.knock(t, s.person, sshSequence[:2]...)
			<-p.done
			if said := p.out.String(); !strings.Contains(said, "nobody has knocked a whole sequence") {
				t.Error(said)
			}
		},
	}
	t.Parallel()
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, ipv4)
			sshd := startSSHD(t, s.server, 22)
			session := s.logIn(t, sshd, s.person, 22)
			p := startTrial(t, s, sshDoor, "--for", "10s")
			s.expectShut(t, s.stranger, "22", silent)

			end(t, s, p)
			if code := p.cmd.ProcessState.ExitCode(); code != 1 && name != "killed" {
				t.Errorf("exit %d", code)
			}
			s.expectUndone(t, session)
		})
	}
}

// TestTrialTerminal runs a trial on a terminal, where it counts down in one line and
// cannot be stopped, until the terminal hangs up.
func TestTrialTerminal(t *testing.T) {
	t.Parallel()
	s := newSite(t, ipv4)
	sshd := startSSHD(t, s.server, 22)
	session := s.logIn(t, sshd, s.person, 22)

	terminal, slave := newTerminal(t)
	cmd := command(context.Background(), t, program, "trial", "-c", writeConfig(t, sshDoor))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := s.server.startCmd(t, cmd)
	slave.Close()
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := terminal.Read(b)
			if err != nil {
				return
			}
			p.out.Write(b[:n])
		}
	}()
	s.awaitTrial(t, p)
	const ctrlZ = "\x1a"
	if _, err := terminal.WriteString(ctrlZ); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it counts down in one line", func() bool {
		return strings.Count(p.out.String(), " left") > 2
	})
	if said := p.out.String(); !strings.Contains(said, "\r1:5") || strings.Contains(said, "left\r\n") {
		t.Errorf("%q", said)
	}
	s.expectShut(t, s.stranger, "22", silent)

	terminal.Close()
	<-p.done
	s.expectUndone(t, session)
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
