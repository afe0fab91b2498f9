package bench

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nftknock/integration/lab"
)

// A system shuts port 22 to all but those who knock.
type system struct {
	name   string
	knocks int // to measure with, while the machine is idle
	start  func(t testing.TB, s *lab.Topology, sequence []string) running
	open   []string // the set of those who are in: family, table, name
}

type running struct {
	pid  int // of the daemon; 0 if there is none
	stop func()
	shut func(t testing.TB, who netip.Addr) // the door, to who is in
}

const (
	nameOfOurs    = "nftknockd"
	nameOfKnockd  = "knockd 0.8"
	nameOfKernels = "sets in the kernel"
)

// systems are nftknockd and its peers.
var systems = []system{
	{nameOfOurs, 300, startOurs, []string{"inet", lab.GateTable, "ssh_open4"}},
	{nameOfKnockd, 60, startKnockd, []string{"inet", "knockd", "open"}},
	{nameOfKernels, 300, startKernelSets, []string{"inet", "portknock", "clients_ipv4"}},
}

func startOurs(t testing.TB, s *lab.Topology, sequence []string) running {
	const config = `
on_stop = "remove"

[door.ssh]
ports    = [22]
sequence = [%s]
`
	d := lab.StartDaemon(t, s.Server, fmt.Sprintf(config, strings.Join(sequence, ", ")))
	return running{
		pid:  d.Cmd.Process.Pid,
		stop: func() { d.Stop(syscall.SIGTERM) },
		shut: func(t testing.TB, who netip.Addr) { d.Tell(t, "close", "ssh", who.String()) },
	}
}

// startKnockd runs Debian's knockd. Its command is nft in place of the iptables of
// its manual.
func startKnockd(t testing.TB, s *lab.Topology, sequence []string) running {
	const table = `
table inet knockd {
	set open {
		type ipv4_addr
		flags timeout
	}
	chain input {
		type filter hook input priority filter - 10
		ct state established,related accept
		tcp dport 22 ip saddr @open accept
		tcp dport 22 drop
	}
}
`
	const config = `
[options]
	logfile = %s

[openSSH]
	sequence    = %s
	seq_timeout = 15
	tcpflags    = syn
	command     = %s add element inet knockd open { %%IP%% timeout 1m }
`
	dir := t.TempDir()
	file := filepath.Join(dir, "knockd.conf")
	nft := lab.Command(t.Context(), t, "nft").Path
	if err := os.WriteFile(file, fmt.Appendf(nil, config, filepath.Join(dir, "log"), strings.Join(sequence, ","), nft), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Server.RunWith(t, table, "nft", "-f", "-")
	p := s.Server.Start(t, "knockd", "-i", "net1", "-c", file)
	lab.Eventually(t, "knockd sees what arrives", func() bool {
		return hasPacketSocket(t, s.Server)
	})
	return running{
		pid: p.Cmd.Process.Pid,
		stop: func() {
			p.Stop(os.Kill)
			s.Server.Run(t, "nft", "delete", "table", "inet", "knockd")
		},
		shut: func(t testing.TB, who netip.Addr) { deleteElement(t, s, who, "knockd", "open") },
	}
}

// startKernelSets does without a program, as the port knocking example of the
// nftables wiki does.
func startKernelSets(t testing.TB, s *lab.Topology, sequence []string) running {
	const table = `
table inet portknock {
	set clients_ipv4 {
		type ipv4_addr
		flags timeout
	}
	set candidates_ipv4 {
		type ipv4_addr . inet_service
		flags timeout
	}
	chain input {
		type filter hook input priority -10; policy accept;
		iifname "lo" return
		tcp dport %[1]s add @candidates_ipv4 { ip saddr . %[2]s timeout 1s }
		tcp dport %[2]s ip saddr . tcp dport @candidates_ipv4 add @candidates_ipv4 { ip saddr . %[3]s timeout 1s }
		tcp dport %[3]s ip saddr . tcp dport @candidates_ipv4 add @clients_ipv4 { ip saddr timeout 1m }
		tcp dport 22 ip saddr @clients_ipv4 counter accept
		tcp dport 22 ct state established,related counter accept
		tcp dport 22 counter drop
	}
}
`
	s.Server.RunWith(t, fmt.Sprintf(table, sequence[0], sequence[1], sequence[2]), "nft", "-f", "-")
	return running{
		stop: func() { s.Server.Run(t, "nft", "delete", "table", "inet", "portknock") },
		shut: func(t testing.TB, who netip.Addr) { deleteElement(t, s, who, "portknock", "clients_ipv4") },
	}
}

// deleteElement does what the command of a closing sequence does.
func deleteElement(t testing.TB, s *lab.Topology, who netip.Addr, table, set string) {
	t.Helper()
	s.Server.Run(t, "nft", "delete", "element", "inet", table, set, fmt.Sprintf("{ %v }", who))
}

// newBenchSite is a server that drops knocks once they are logged, as hosts with
// a firewall do, and has a listener behind its door. All addresses but its own
// are behind the client.
func newBenchSite(t testing.TB) *lab.Topology {
	t.Helper()
	s := lab.NewTopology(t, lab.IPv4)
	s.Server.Run(t, "ip", "route", "add", "default", "via", s.Source.String())
	s.Firewall(t, lab.SSHSequence...)
	s.Server.ListenTCP(t, 22)
	return s
}
