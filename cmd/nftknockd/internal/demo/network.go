package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is two hosts and a cable:
//
//	this process  ── veth pair ──  client
//
// The server is the network namespace this process is in. The client is that of
// a single thread, see [remoteHost]. Every address is routed by itself, so that
// both hosts can have whatever addresses a configuration asks for.
type network struct {
	client *remoteHost

	// Each host's own end of the cable.
	serverLink, clientLink netlink.Link
}

// newNetwork builds the network. serverInterface names the server's end of
// the cable.
func newNetwork(ctx context.Context, serverInterface string) (*network, error) {
	client, err := newRemoteHost()
	if err != nil {
		return nil, err
	}
	n := &network{client: client}
	if err := n.connect(ctx, serverInterface); err != nil {
		return nil, fmt.Errorf("connecting the two hosts: %w", err)
	}
	return n, nil
}

func (n *network) connect(ctx context.Context, serverInterface string) error {
	const clientInterface = "eth0"

	var namespace int
	err := n.client.do(func() (err error) {
		namespace, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(namespace)

	attrs := netlink.NewLinkAttrs()
	attrs.Name = serverInterface
	if err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      clientInterface,
		PeerNamespace: netlink.NsFd(namespace),
	}); err != nil {
		return err
	}

	if n.serverLink, err = bringUp(serverInterface); err != nil {
		return err
	}
	if err := n.client.do(func() (err error) {
		n.clientLink, err = bringUp(clientInterface)
		return err
	}); err != nil {
		return err
	}
	if err := awaitCarrier(ctx, n.serverLink); err != nil {
		return err
	}
	return n.client.do(func() error { return awaitCarrier(ctx, n.clientLink) })
}

// addServerAddress gives the server an address that the client can reach.
func (n *network) addServerAddress(ctx context.Context, addr netip.Addr) error {
	if err := addAddress(ctx, n.serverLink, addr); err != nil {
		return err
	}
	return n.client.do(func() error { return addRoute(n.clientLink, addr) })
}

// addClientAddress gives the client an address that the server can reach. An
// address that it has already is fine.
func (n *network) addClientAddress(ctx context.Context, addr netip.Addr) error {
	err := n.client.do(func() error { return addAddress(ctx, n.clientLink, addr) })
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return addRoute(n.serverLink, addr)
}

// bringUp sets a link and the loopback up in the namespace of the thread.
func bringUp(name string) (netlink.Link, error) {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return nil, err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return link, netlink.LinkSetUp(link)
}

// awaitCarrier waits until a link passes packets on. The kernel gets it ready
// some time after it was set up, and drops what is sent before that.
func awaitCarrier(ctx context.Context, link netlink.Link) error {
	name := link.Attrs().Name
	return poll(ctx, "interface "+name+" is not ready", func() (bool, error) {
		link, err := netlink.LinkByName(name)
		return err == nil && link.Attrs().OperState == netlink.OperUp, err
	})
}

func addAddress(ctx context.Context, link netlink.Link, addr netip.Addr) error {
	a := &netlink.Addr{IPNet: hostNet(addr)}
	if addr.Is6() {
		a.Flags = unix.IFA_F_NODAD // nobody else is here who could have it already
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		return fmt.Errorf("adding address %s: %w", addr, err)
	}
	// The kernel takes an IPv6 address into use some time after it was added.
	// A neighbour that asks for it before that asks again a second later.
	return poll(ctx, "address "+addr.String()+" is not ready", func() (bool, error) {
		routes, err := netlink.RouteGet(addr.AsSlice())
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
			return false, nil
		}
		return err == nil && routes[0].Type == unix.RTN_LOCAL, err
	})
}

func addRoute(link netlink.Link, addr netip.Addr) error {
	err := netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       hostNet(addr),
		Scope:     netlink.SCOPE_LINK,
	})
	if err != nil {
		return fmt.Errorf("adding a route to %s: %w", addr, err)
	}
	return nil
}

func hostNet(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

// A remoteHost is a network namespace with one thread in it. What that thread
// opens belongs to the namespace for good, and may be used by any other.
type remoteHost struct {
	work chan func()
}

func newRemoteHost() (*remoteHost, error) {
	h := &remoteHost{work: make(chan func())}
	entered := make(chan error)
	go func() {
		// Never unlocked: the thread must not run anything else, ever.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		entered <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		return nil, fmt.Errorf("making the client's network namespace: %w", err)
	}
	return h, nil
}

// do runs f on the host's thread.
func (h *remoteHost) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}
