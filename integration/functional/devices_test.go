package functional

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"nftknock/integration/lab"
)

// A device is what packets arrive through. Its scripts make the interface net5 out of net6, a
// wire between the hosts.
type device struct {
	server, client string
	guarded        string // the name to give in `interfaces`
}

// noDevice is how a script ends where the kernel lacks what it takes.
const noDevice = 3

// TestDevices has the gate at interfaces that are made of others, named or not. A kernel that
// lacks a kind skips it.
func TestDevices(t *testing.T) {
	const bridge = `
ip link add net5 type bridge
ip link set net6 master net5`
	const bond = `
ip link add net5 type bond mode active-backup
ip link set net6 down
ip link set net6 master net5`
	const vlan = `ip link add link net6 name net5 type vlan id 5`
	const rename = `
ip link set net6 down
ip link set net6 name net5`
	devices := map[string]device{
		"vlan":   {vlan, vlan, "net5"},
		"bond":   {bond, bond, "net5"},
		"bridge": {bridge, rename, "net5"},
		"bridge with br_netfilter": {bridge + fmt.Sprintf(`
[ -d /proc/sys/net/bridge ] || modprobe br_netfilter || exit %d
sysctl net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1`, noDevice), rename, "net5"},
		"vrf": {rename + `
ip link add vrf5 type vrf table 10
ip link set vrf5 up
ip link set net5 master vrf5
sysctl net.ipv4.tcp_l3mdev_accept=1 net.ipv4.udp_l3mdev_accept=1`, rename, "vrf5"},
	}
	const config = `
[door.ssh]
ports        = [22]
sequence     = ["7214:tcp", "8391:udp", "6127:tcp"]
open_timeout = "1h"
`
	t.Parallel()
	for name, d := range devices {
		t.Run(name, func(t *testing.T) {
			lab.EachFamily(t, func(t *testing.T, f lab.Family) {
				s := d.topology(t, f)
				s.Server.ListenTCP(t, 22)
				file := lab.WriteConfig(t, config)
				daemon := lab.StartDaemonFile(t, s.Server, file)
				expectDoorWorks := func() {
					t.Helper()
					s.ExpectShut(t, s.Source, "22", lab.Silent)
					s.Knock(t, s.Source, "7214:tcp", "8391:udp", "6127:tcp")
					s.WaitIn(t, "ssh", s.Source)
					s.ExpectOpen(t, s.Source, "22")
					s.Server.Run(t, "nft", "flush", "ruleset")
					lab.Eventually(t, "the table is back", func() bool { return s.Server.HasTable(t) })
					s.ExpectShut(t, s.Stranger, "22", lab.Silent)
					s.ExpectOpen(t, s.Source, "22")
				}
				expectDoorWorks()

				daemon.Tell(t, "close", "ssh", s.Source.String())
				write(t, file, fmt.Sprintf("interfaces = [%q]\n%s", d.guarded, config))
				if out := daemon.Tell(t, "reload"); strings.Contains(out, "interfaces") {
					t.Errorf("a warning about the right name: %s", out)
				}
				expectDoorWorks()
			})
		})
	}
}

// topology makes a server and a client that reach each other through the device.
func (d device) topology(t *testing.T, f lab.Family) *lab.Topology {
	t.Helper()
	server, client := lab.NewHost(t, "server"), lab.NewHost(t, "client")
	lab.Connect(t, 6, server, client)
	makeDevice(t, server, d.server)
	makeDevice(t, client, d.client)
	lab.Address(t, 5, server, client)
	return lab.NewTopologyOver(t, f, 5, server, client)
}

func makeDevice(t *testing.T, h *lab.Host, script string) {
	t.Helper()
	r := h.Try(t, "bash", "-ec", script)
	if r.Exit() == noDevice || strings.Contains(r.Stderr, "Unknown device type") {
		t.Skip("this kernel has none")
	}
	if r.Err != nil {
		t.Fatalf("%s: %v\n%s", h.Name, r.Err, r.Stderr)
	}
}

// TestWireGuard guards the port of a tunnel, and a port that is reached through it.
func TestWireGuard(t *testing.T) {
	const config = `
[door.tunnel]
ports        = ["51820:udp"]
sequence     = [7214, 8391, 6127]
open_timeout = "1h"

[door.ssh]
ports        = [22]
sequence     = [6011, 9121, 7083]
open_timeout = "1h"
`
	lab.EachFamily(t, func(t *testing.T, f lab.Family) {
		server, client := lab.NewHost(t, "server"), lab.NewHost(t, "client")
		lab.Connect(t, 6, server, client)
		outside := lab.NewTopologyOver(t, f, 6, server, client)
		serverKey, clientKey := wireGuard(t, server), wireGuard(t, client)
		peer := func(h *lab.Host, key string, options ...string) {
			h.Run(t, "wg", append([]string{"set", "net5", "peer", key, "allowed-ips", "10.5.0.0/16,fd00:5::/32"}, options...)...)
		}
		peer(server, clientKey)
		peer(client, serverKey, "endpoint", netip.AddrPortFrom(outside.Addr, 51820).String())
		lab.Address(t, 5, server, client)
		inside := lab.NewTopologyOver(t, f, 5, server, client)
		server.ListenTCP(t, 22)
		server.ListenTCP(t, 80)
		inside.ExpectOpen(t, inside.Source, "80")

		lab.StartDaemon(t, server, config)
		inside.ExpectShut(t, inside.Source, "80", lab.Silent)
		outside.Knock(t, outside.Source, "7214", "8391", "6127")
		outside.WaitIn(t, "tunnel", outside.Source)
		inside.ExpectOpen(t, inside.Source, "80")

		inside.ExpectShut(t, inside.Source, "22", lab.Silent)
		inside.Knock(t, inside.Source, "6011", "9121", "7083")
		inside.WaitIn(t, "ssh", inside.Source)
		inside.ExpectOpen(t, inside.Source, "22")
		inside.ExpectShut(t, inside.Stranger, "22", lab.Silent)
	})
}

// wireGuard makes the interface net5, and returns its public key.
func wireGuard(t *testing.T, h *lab.Host) string {
	t.Helper()
	makeDevice(t, h, fmt.Sprintf("command -v wg >/dev/null || exit %d; ip link add net5 type wireguard", noDevice))
	private := h.Run(t, "wg", "genkey")
	h.RunWith(t, private, "wg", "set", "net5", "listen-port", "51820", "private-key", "/dev/stdin")
	return strings.TrimSpace(h.RunWith(t, private, "wg", "pubkey"))
}
