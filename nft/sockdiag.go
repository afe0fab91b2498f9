package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// A flow is a connection, or datagrams between two ports.
type flow struct {
	proto      knock.Proto
	host, peer netip.AddrPort
	closing    bool // TCP: this host has sent its FIN
}

// The kernel's list of sockets, NETLINK_SOCK_DIAG: see sock_diag(7) and linux/inet_diag.h.
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY

	diagRequestLen = 56 // struct inet_diag_req_v2
	diagMessageLen = 72 // struct inet_diag_msg
)

// The states of sockets (include/net/tcp_states.h) in which a connection is up, or ends. A
// connected socket of UDP is established.
const (
	stateEstablished = 1
	stateSynSent     = 2
	stateFinWait1    = 4
	stateFinWait2    = 5
	stateTimeWait    = 6
	stateCloseWait   = 8
	stateLastAck     = 9
	stateClosing     = 11

	endingStates = 1<<stateFinWait1 | 1<<stateFinWait2 | 1<<stateTimeWait | 1<<stateLastAck | 1<<stateClosing
	upStates     = 1<<stateEstablished | 1<<stateSynSent | 1<<stateCloseWait | endingStates
)

// socketFlows returns the flows of this network namespace's sockets. A kernel that cannot list
// them (CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG) lists none.
func socketFlows() ([]flow, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("listing the sockets: %w", err)
	}
	defer c.Close()
	var flows []flow
	for _, proto := range []knock.Proto{knock.TCP, knock.UDP} {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			request := make([]byte, diagRequestLen)
			request[0], request[1] = family, byte(proto)
			binary.NativeEndian.PutUint32(request[4:], upStates)
			messages, err := c.Execute(netlink.Message{
				Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
				Data:   request,
			})
			switch {
			case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EAFNOSUPPORT):
				continue
			case err != nil:
				return nil, fmt.Errorf("listing the sockets: %w", err)
			}
			for _, m := range messages {
				f, link, ok := socketFlow(proto, m.Data)
				if ok && isLinkLocal(f.peer.Addr()) {
					zone, err := interfaceName(c, link)
					if err != nil {
						continue // the interface has gone
					}
					f.peer = netip.AddrPortFrom(f.peer.Addr().WithZone(zone), f.peer.Port())
				}
				if ok {
					flows = append(flows, f)
				}
			}
		}
	}
	return flows, nil
}

// socketFlow reads a struct inet_diag_msg. link is the index of the interface that the socket is
// bound to, as one with a link-local peer is.
func socketFlow(proto knock.Proto, b []byte) (f flow, link uint32, ok bool) {
	if len(b) < diagMessageLen {
		return flow{}, 0, false
	}
	addr := func(at int) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16])).Unmap() // sockets of IPv6 take IPv4 too
	}
	f = flow{
		proto:   proto,
		host:    netip.AddrPortFrom(addr(8), binary.BigEndian.Uint16(b[4:])),
		peer:    netip.AddrPortFrom(addr(24), binary.BigEndian.Uint16(b[6:])),
		closing: proto == knock.TCP && 1<<b[1]&endingStates != 0,
	}
	connected := f.peer.Port() != 0 && !f.peer.Addr().IsUnspecified() && f.host.Addr().BitLen() == f.peer.Addr().BitLen()
	return f, binary.NativeEndian.Uint32(b[40:]), connected
}
