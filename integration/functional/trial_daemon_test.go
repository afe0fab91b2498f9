package functional

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// A daemonTrial is a trial by a running daemon, of its own file.
type daemonTrial struct {
	*lab.Topology
	daemon  *lab.Daemon
	command *lab.Process
	file    string
}

// The configuration before, with another door that the tried one lacks, and the tried one.
const (
	beforeTrial = lab.SSHDoor + "open_timeout = \"10m\"\n" + `
[door.web]
ports    = [80]
sequence = [7301, 8302, 6303]
open_timeout = "10m"
`
	triedDoor = `
[door.ssh]
ports    = [22]
sequence = [7401, 8402, 6403]
open_timeout = "10m"
`
)

var triedSequence = []string{"7401", "8402", "6403"}

// startDaemonTrial has two people in, by the configuration before, and begins a trial.
func startDaemonTrial(t *testing.T, args ...string) *daemonTrial {
	t.Helper()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	s.Server.ListenTCP(t, 80)
	file := lab.WriteConfig(t, beforeTrial)
	d := lab.StartDaemonFile(t, s.Server, file)
	s.Knock(t, s.Source, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Source)
	s.Knock(t, s.Neighbour, "7301", "8302", "6303")
	s.WaitIn(t, "web", s.Neighbour)

	write(t, file, triedDoor)
	cmd := lab.Command(context.Background(), t, lab.Nftknockd, append([]string{"trial", "--socket", d.Socket, "-c", file}, args...)...)
	trial := &daemonTrial{s, d, s.Server.StartCmd(t, cmd), file}
	awaitTrial(t, s, trial.command)
	s.ExpectOpen(t, s.Stranger, "80")
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)
	s.WaitIn(t, "ssh", s.Source)
	return trial
}

// expectUndone makes sure that what was before is in force again, with who was in.
func (s *daemonTrial) expectUndone(t *testing.T) {
	t.Helper()
	lab.Eventually(t, "what was before is in force", func() bool {
		return strings.Contains(s.Server.Try(t, "nft", "list", "table", "inet", lab.GateTable).Stdout, "web_open4")
	})
	s.ExpectShut(t, s.Stranger, "80", lab.Silent)
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)
	s.WaitIn(t, "ssh", s.Source)
	s.Knock(t, s.Stranger, lab.SSHSequence...)
	s.WaitIn(t, "ssh", s.Stranger)
}

func TestDaemonTrialPasses(t *testing.T) {
	t.Parallel()
	s := startDaemonTrial(t)
	// A knock of the configuration before opens nothing; one of the new is not enough.
	s.Knock(t, s.Stranger, lab.SSHSequence...)
	s.Knock(t, s.Stranger, triedSequence...)
	s.WaitIn(t, "ssh", s.Stranger)
	lab.ExpectWords(t, "the trial", s.command.Out.String, "was let in through door ssh: now make a new connection")
	if s.command.Ended() {
		t.Fatal("it has passed by a knock alone")
	}
	s.ExpectOpen(t, s.Stranger, "22")
	<-s.command.Done
	if said := s.command.Out.String(); s.command.Cmd.ProcessState.ExitCode() != 0 || !strings.Contains(said, "the configuration is in force.") {
		t.Errorf("%v: %s", s.command.Cmd.ProcessState, said)
	}
	// It is the last good one now.
	remove(t, s.file)
	s.daemon.Stop(unix.SIGKILL)
	s.Server.Run(t, "nft", "delete", "table", "inet", lab.GateTable)
	lab.StartDaemonFile(t, s.Server, s.file)
	s.Knock(t, s.Stranger, triedSequence...)
	s.WaitIn(t, "ssh", s.Stranger)
	s.ExpectOpen(t, s.Neighbour, "80")
}

// TestDaemonTrialEnds ends a trial in each way that leaves the daemon alive.
func TestDaemonTrialEnds(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]unix.Signal{"killed": unix.SIGKILL, "hung up": unix.SIGHUP, "interrupted": unix.SIGINT, "stopped": unix.SIGSTOP, "time is over": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startDaemonTrial(t, "--for", "10s")
			if sig != 0 {
				s.command.Cmd.Process.Signal(sig)
			}
			s.expectUndone(t)
			s.WaitIn(t, "web", s.Neighbour)
			if sig != unix.SIGSTOP {
				<-s.command.Done
			} else {
				s.command.Cmd.Process.Signal(unix.SIGCONT)
			}
			if said := s.command.Out.String(); sig == 0 && !strings.Contains(said, "no knock was heard") {
				t.Error(said)
			}
		})
	}
}

// TestDaemonTrialDaemonEnds kills the daemon, with its machine or without, or stops it: it
// comes back with what was before, although the file is the tried one.
func TestDaemonTrialDaemonEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "reboot", "stopped"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := startDaemonTrial(t)
			if how == "stopped" {
				s.daemon.Cmd.Process.Signal(unix.SIGSTOP)
				<-s.daemon.Done // by the command
			} else {
				s.daemon.Stop(unix.SIGKILL)
			}
			<-s.command.Done
			if how == "reboot" {
				s.Server.Run(t, "nft", "delete", "table", "inet", lab.GateTable)
			}
			again := lab.StartDaemonFile(t, s.Server, s.file)
			s.expectUndone2(t, how)
			if status := again.Tell(t, "status"); !strings.HasPrefix(status, "degraded: guarding by the last good configuration: the file was on trial") {
				t.Error(status)
			}
			// The administrator wants it all the same.
			again.Tell(t, "reload")
			s.Knock(t, s.Stranger, triedSequence...)
			s.WaitIn(t, "ssh", s.Stranger)
		})
	}
}

func (s *daemonTrial) expectUndone2(t *testing.T, how string) {
	t.Helper()
	if how == "reboot" { // nobody is in any more
		s.Knock(t, s.Source, lab.SSHSequence...)
	}
	s.expectUndone(t)
}

// TestDaemonTrialElsewhere tries a file that the daemon does not read, and fails to try what
// needs a restart.
func TestDaemonTrialElsewhere(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	file := lab.WriteConfig(t, "# nothing yet\n")
	d := lab.StartDaemonFile(t, s.Server, file)
	if r := d.Ask(t, "trial", "-c", lab.WriteConfig(t, "table = \"other\"\n"+triedDoor)); r.Exit() != 1 || !strings.Contains(r.Stderr, "`table` cannot change") {
		t.Errorf("exit %d: %s", r.Exit(), r.Stderr)
	}
	cmd := lab.Command(context.Background(), t, lab.Nftknockd, "trial", "--socket", d.Socket, "-c", lab.WriteConfig(t, triedDoor))
	p := s.Server.StartCmd(t, cmd)
	awaitTrial(t, s, p)
	if r := d.Ask(t, "reload"); r.Exit() != 1 || !strings.Contains(r.Stderr, "on trial") {
		t.Errorf("reload: exit %d: %s", r.Exit(), r.Stderr)
	}
	s.Knock(t, s.Source, triedSequence...)
	s.WaitIn(t, "ssh", s.Source)
	s.ExpectOpen(t, s.Source, "22")
	<-p.Done
	if said := p.Out.String(); !strings.Contains(said, "It has taken the place of "+file) {
		t.Error(said)
	}
	d.Tell(t, "reload")
	s.ExpectShut(t, s.Stranger, "22", lab.Silent)
}

// TestDaemonTrialOfAnotherInterface guards where nobody comes in: the trial says what it saw.
func TestDaemonTrialOfAnotherInterface(t *testing.T) {
	t.Parallel()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.ListenTCP(t, 22)
	file := lab.WriteConfig(t, "# nothing yet\n")
	d := lab.StartDaemonFile(t, s.Server, file)
	write(t, file, "interfaces = [\"ens3\"]\n"+triedDoor)
	cmd := lab.Command(context.Background(), t, lab.Nftknockd, "trial", "--for", "10s", "--socket", d.Socket, "-c", file)
	p := s.Server.StartCmd(t, cmd)
	awaitTrial(t, s, p)
	s.Knock(t, s.Source, triedSequence...)
	c, _, err := s.Client.Dial(s.Source, netip.AddrPortFrom(s.Addr, 22), lab.Timeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-p.Done
	for _, want := range []string{
		"ens3 is not there now", "no knock was heard", s.Source.String(), "has connected to port 22 without being let in",
		"3 packets to knock ports arrived on ", "which is not guarded",
	} {
		if said := p.Out.String(); !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}
