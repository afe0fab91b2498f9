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
	"testing"
)

// A Fleet is gates that share grants: each has a wire to the client, and one to the host that
// NATS runs on.
type Fleet struct {
	Client *Host
	Person netip.Addr // the client's address, which is the same for all gates
	Gates  []*Gate
	Broker *Host
	NATS   *Process

	store  string // of NATS
	key    string // the group's, in a file
	server string // the program
}

// A Gate is one of a fleet.
type Gate struct {
	*Host
	Number    int        // from 1 on
	Addr      netip.Addr // for the client
	Daemon    *Daemon
	Companion *Process

	fleet *Fleet
	state string // of daemon and companion
}

// Name is what the gate is called in the fleet.
func (g *Gate) Name() string { return fmt.Sprintf("gate%d", g.Number) }

// fleetDoor is a door of every gate, and how they share it.
const fleetDoor = `
[fleet]
url      = "nats://%v:4222"
key_file = %q
group    = "bastions"
%s
[door.ssh]
ports          = [22]
sequence       = [7214, 8391, 6127]
close_sequence = [6127, 8391, 7214]
open_timeout   = "5m"
`

// NewFleet starts NATS and gates that share grants. More goes into [fleet].
func NewFleet(t testing.TB, gates int, more string) *Fleet {
	t.Helper()
	f := &Fleet{
		Client: NewHost(t, "client"), Broker: NewHost(t, "broker"), Person: IPv4.Addr(200, 0, 1),
		store: t.TempDir(), key: NewFleetKey(t), server: natsServer(t),
	}
	f.Client.Run(t, "ip", "addr", "add", f.Person.String()+"/32", "dev", "lo")
	f.StartNATS(t)
	for n := range gates {
		f.join(t, n+1)
	}
	for _, g := range f.Gates {
		g.Start(t, more)
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

// StartNATS starts the server, with what it has stored before.
func (f *Fleet) StartNATS(t testing.TB) {
	t.Helper()
	f.NATS = f.Broker.Start(t, f.server, "--addr", "0.0.0.0", "--port", "4222", "--jetstream", "--store_dir", f.store)
	Eventually(t, "NATS listens", func() bool {
		c, a, _ := f.Broker.Dial(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddrPort("127.0.0.1:4222"), BriefTimeout)
		if c != nil {
			c.Close()
		}
		return a == Open
	})
}

// join makes a gate, and its wires.
func (f *Fleet) join(t testing.TB, n int) {
	g := &Gate{Host: NewHost(t, fmt.Sprintf("gate%d", n)), Number: n, fleet: f, state: t.TempDir()}
	Connect(t, byte(n), g.Host, f.Client)
	Connect(t, byte(100+n), f.Broker, g.Host)
	g.Addr = IPv4.Addr(byte(n), 0, 1)
	g.Route(t, IPv4.Addr(200, 0, 0), IPv4.Addr(byte(n), 0, 2))
	g.ServeBanner(t, 22)
	f.Gates = append(f.Gates, g)
}

// Start starts the daemon and its companion. More goes into [fleet].
func (g *Gate) Start(t testing.TB, more string) {
	t.Helper()
	g.StartDaemon(t, more)
	g.StartCompanion(t)
}

// StartDaemon starts the daemon, with its state from before.
func (g *Gate) StartDaemon(t testing.TB, more string) {
	t.Helper()
	config := fmt.Sprintf(fleetDoor, IPv4.Addr(byte(100+g.Number), 0, 1), g.fleet.key, more)
	socket := filepath.Join(g.state, "control.sock")
	g.Daemon = startDaemon(t, g.Host, WriteConfig(t, NoDecoys+config), socket, "STATE_DIRECTORY="+g.state)
}

// StartCompanion starts the companion, and returns when it shares.
func (g *Gate) StartCompanion(t testing.TB) {
	t.Helper()
	notify := ListenNotify(t)
	cmd := Command(context.Background(), t, Nftknockd, "fleet", "--gate", g.Name(), "--socket", g.Daemon.Socket, "--state", filepath.Join(g.state, "fleet"))
	if err := os.MkdirAll(filepath.Join(g.state, "fleet"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	g.Companion = g.StartCmd(t, cmd)
	Eventually(t, g.Name()+" shares", func() bool { return HasLine(NextNotice(notify), "READY=1") })
}

// Knock knocks at the gate as the person.
func (g *Gate) Knock(t testing.TB, ports ...string) {
	t.Helper()
	s := Topology{Family: IPv4, Server: g.Host, Client: g.fleet.Client, Addr: g.Addr}
	s.Knock(t, g.fleet.Person, ports...)
}

// Grant returns how the gate's kernel lets a source in.
func (g *Gate) Grant(t testing.TB, source string) (Entry, bool) {
	t.Helper()
	s := Topology{Family: IPv4, Server: g.Host}
	return s.Entry(t, "ssh", netip.MustParseAddr(source))
}

// Answer tries port 22 of the gate as the person.
func (g *Gate) Answer() Answer {
	c, a, _ := g.fleet.Client.Dial(g.fleet.Person, netip.AddrPortFrom(g.Addr, 22), BriefTimeout)
	if c != nil {
		c.Close()
	}
	return a
}

// natsServer builds the server once, and returns the program.
func natsServer(t testing.TB) string {
	t.Helper()
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "nats-server")
	cmd := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	cmd.Dir = filepath.Join("..", "nats")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building nats-server: %v\n%s", err, out)
	}
	return program
}
