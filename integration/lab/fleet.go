package lab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// A Fleet is gates that share grants: each has a wire to the client, and one to the host that
// NATS runs on.
type Fleet struct {
	Client  *Host
	Source  netip.Addr // the client's address, which is the same for all gates
	Gates   []*Gate
	Broker  *Host
	NATS    []*Process // its nodes
	KeyFile string     // of the group

	plan   FleetPlan
	store  string // of NATS
	server string // the program
}

// A FleetPlan says what a fleet is made of.
type FleetPlan struct {
	Gates  int
	Nodes  int    // of NATS; 0: one
	Fleet  string // more in [fleet]
	Config string // more behind it

	Server string // a file of configuration for NATS
	CA     string // the file of who signed NATS' certificate; empty: no TLS
}

// A Gate is one of a fleet.
type Gate struct {
	*Host
	Number    int        // from 1 on
	Addr      netip.Addr // for the client
	Daemon    *Daemon
	Companion *Process

	fleet *Fleet
}

// Name is what the gate is called in the fleet.
func (g *Gate) Name() string { return fmt.Sprintf("gate%d", g.Number) }

// fleetDoor is a door of every gate, and how they share it.
const fleetDoor = `
[fleet]
url      = %q
key_file = %q
group    = "bastions"
%s
[door.ssh]
ports          = [22]
sequence       = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]
open_timeout   = "5m"
`

// NewFleet starts NATS and gates that share grants.
func NewFleet(t testing.TB, plan FleetPlan) *Fleet {
	t.Helper()
	f := &Fleet{
		Client: NewHost(t, "client"), Broker: NewHost(t, "broker"), Source: IPv4.Addr(200, 0, 1),
		store: t.TempDir(), KeyFile: NewFleetKey(t), server: NATSServer(t), plan: plan,
	}
	f.NATS = make([]*Process, max(plan.Nodes, 1))
	f.Client.Run(t, "ip", "addr", "add", f.Source.String()+"/32", "dev", "lo")
	for node := range f.NATS {
		f.StartNATS(t, node)
	}
	for n := range plan.Gates {
		f.join(t, n+1)
	}
	for _, g := range f.Gates {
		g.Start(t)
	}
	return f
}

// NewFleetKey makes the key of a group, and returns its file.
func NewFleetKey(t testing.TB) string {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	file := filepath.Join(t.TempDir(), "fleet.key")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// StartNATS starts a node, with what it has stored before.
func (f *Fleet) StartNATS(t testing.TB, node int) {
	t.Helper()
	args := []string{
		"--addr", "0.0.0.0", "--port", fmt.Sprint(4222 + node), "--jetstream",
		"--store_dir", filepath.Join(f.store, fmt.Sprint(node)), "--name", fmt.Sprintf("node%d", node),
	}
	if f.plan.Server != "" {
		args = append(args, "--config", f.plan.Server)
	}
	if len(f.NATS) > 1 {
		var routes []string
		for other := range f.NATS {
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", 6222+other))
		}
		args = append(args, "--cluster_name", "test", "--cluster", fmt.Sprintf("nats://127.0.0.1:%d", 6222+node), "--routes", strings.Join(routes, ","))
	}
	f.NATS[node] = f.Broker.Start(t, f.server, args...)
	Eventually(t, "NATS listens", func() bool {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(4222+node))
		c, a, _ := f.Broker.Dial(to.Addr(), to, BriefTimeout)
		if c != nil {
			c.Close()
		}
		return a == Open
	})
}

// join makes a gate, and its wires.
func (f *Fleet) join(t testing.TB, n int) {
	g := &Gate{Host: NewHost(t, fmt.Sprintf("gate%d", n)), Number: n, fleet: f}
	Connect(t, byte(n), g.Host, f.Client)
	Connect(t, byte(100+n), f.Broker, g.Host)
	g.Addr = IPv4.Addr(byte(n), 0, 1)
	g.Route(t, IPv4.Addr(200, 0, 0), IPv4.Addr(byte(n), 0, 2))
	g.ServeBanner(t, 22)
	f.Gates = append(f.Gates, g)
}

// BrokerAddr is the address of NATS for a gate.
func BrokerAddr(gate int) netip.Addr { return IPv4.Addr(byte(100+gate), 0, 1) }

// Start starts the daemon and its companion.
func (g *Gate) Start(t testing.TB) {
	t.Helper()
	g.StartDaemon(t)
	g.StartCompanion(t)
}

// StartDaemon starts the daemon, with its state from before.
func (g *Gate) StartDaemon(t testing.TB) {
	t.Helper()
	plan := g.fleet.plan
	scheme := "nats"
	if plan.CA != "" {
		scheme = "tls"
	}
	var urls []string
	for node := range g.fleet.NATS {
		urls = append(urls, fmt.Sprintf("%s://%v:%d", scheme, BrokerAddr(g.Number), 4222+node))
	}
	config := fmt.Sprintf(fleetDoor, strings.Join(urls, ","), g.fleet.KeyFile, plan.Fleet) + plan.Config
	socket := filepath.Join(g.State, "control.sock")
	g.Daemon = StartDaemonAt(t, g.Host, WriteConfig(t, NoDecoys+config), socket)
}

// StartCompanion starts the companion, and returns when it shares.
func (g *Gate) StartCompanion(t testing.TB) {
	t.Helper()
	if ca := g.fleet.plan.CA; ca != "" {
		g.env = append(g.env, "SSL_CERT_FILE="+ca)
	}
	g.Companion = g.Host.StartCompanion(t, g.Name(), g.Daemon.Socket, filepath.Join(g.State, "fleet"))
}

// StartCompanion starts what shares the grants of the daemon at a socket, and returns when it does.
func (h *Host) StartCompanion(t testing.TB, gate, socket, state string) *Process {
	t.Helper()
	cmd := Command(context.Background(), t, Nftknockd, "fleet", "--gate", gate, "--socket", socket, "--state", state)
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	p := h.StartCmd(t, cmd)
	ExpectWords(t, gate, p.Out.String, "sharing grants")
	return p
}

// Knock knocks at the gate as the person.
func (g *Gate) Knock(t testing.TB, ports ...string) {
	t.Helper()
	g.Topology().Knock(t, g.fleet.Source, ports...)
}

// Grant returns how the gate's kernel lets a source in.
func (g *Gate) Grant(t testing.TB, source string) (Entry, bool) {
	t.Helper()
	return g.Topology().Entry(t, "ssh", netip.MustParseAddr(source))
}

// Answer tries port 22 of the gate as the person.
func (g *Gate) Answer() Answer {
	c, a, _ := g.fleet.Client.Dial(g.fleet.Source, netip.AddrPortFrom(g.Addr, 22), BriefTimeout)
	if c != nil {
		c.Close()
	}
	return a
}

// Topology is the gate and the client, for who needs no more than these.
func (g *Gate) Topology() *Topology {
	return &Topology{Family: IPv4, Server: g.Host, Client: g.fleet.Client, Addr: g.Addr, Source: g.fleet.Source}
}

// ExpectIn waits until each of some gates lets a source in, and ExpectOut until none does.
func ExpectIn(t testing.TB, source string, gates ...*Gate) {
	t.Helper()
	for _, g := range gates {
		Eventually(t, g.Name()+" lets in "+source, func() bool { _, in := g.Grant(t, source); return in })
	}
}

func ExpectOut(t testing.TB, source string, gates ...*Gate) {
	t.Helper()
	for _, g := range gates {
		Eventually(t, g.Name()+" does not let in "+source, func() bool { _, in := g.Grant(t, source); return !in })
	}
}

// Cut cuts the gate off from NATS, or connects them again.
func (g *Gate) Cut(t testing.TB, cut bool) {
	t.Helper()
	state := "up"
	if cut {
		state = "down"
	}
	g.fleet.Broker.Run(t, "ip", "link", "set", fmt.Sprintf("net%d", 100+g.Number), state)
}

// Connect connects to NATS, as anybody may who has the network and no key.
func (f *Fleet) Connect(t testing.TB) *nats.Conn {
	t.Helper()
	var c *nats.Conn
	err := f.Broker.In(func() (err error) {
		c, err = nats.Connect("nats://127.0.0.1:4222", nats.NoReconnect())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// NATSServer builds the server once, and returns the program.
func NATSServer(t testing.TB) string {
	t.Helper()
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	project, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	program := filepath.Join(cache, "nats-server")
	cmd := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	cmd.Dir = filepath.Join(filepath.Dir(string(project)), "integration", "nats")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v\n%s", err, out)
	}
	return program
}
