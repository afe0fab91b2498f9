package nft

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Link-local addresses of IPv6 (RFC 4291, section 2.5.6) mean another host on each link. So such a
// source is let in on its link alone, whatever the door's prefix, and its flows are known by the
// interface: in sets of their own, which have it as part of their keys.

// linkLocal is the prefix of link-local addresses.
var linkLocal = netip.MustParsePrefix("fe80::/10")

var linkKeyType = concat(nftables.TypeIP6Addr, nftables.TypeIFName)

func concat(types ...nftables.SetDatatype) nftables.SetDatatype {
	t, err := nftables.ConcatSetType(types...)
	if err != nil {
		panic(err) // more than five types
	}
	return t
}

// linkKey is the key of a link-local source in a set of keys of linkKeyType.
func linkKey(source netip.Addr) []byte {
	return append(source.AsSlice(), ifname(source.Zone())...)
}

// linkSource is the inverse of linkKey. What is no such key gives the zero Addr.
func linkSource(key []byte) netip.Addr {
	const addrLen = 16
	if len(key) != addrLen+unix.IFNAMSIZ {
		return netip.Addr{}
	}
	return netip.AddrFrom16([addrLen]byte(key)).WithZone(unix.ByteSliceToString(key[addrLen:]))
}

// saddrOnLinkIn matches a source and the interface that it comes by among a set's.
func saddrOnLinkIn(set string) statement {
	return statement{"ip6 saddr . iifname @" + set, append(ipv6.isFamily(),
		&expr.Payload{DestRegister: unix.NFT_REG32_00, Base: expr.PayloadBaseNetworkHeader, Offset: ipv6.saddr, Len: ipv6.addrLen},
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG32_00 + ipv6.addrLen/4},
		&expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: set},
	)}
}

// peerIsLinkLocal matches a packet whose peer's address is link-local, or is not.
func peerIsLinkLocal(d direction, is bool) statement {
	name, at := "saddr", ipv6.saddr
	if d == outbound {
		name, at = "daddr", ipv6.saddr+ipv6.addrLen
	}
	op, text := expr.CmpOpEq, ""
	if !is {
		op, text = expr.CmpOpNeq, "!= "
	}
	mask := make([]byte, ipv6.addrLen)
	mask[0], mask[1] = 0xff, 0xc0
	return statement{fmt.Sprintf("ip6 %s %s%v", name, text, linkLocal), append(ipv6.isFamily(),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: at, Len: ipv6.addrLen},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: ipv6.addrLen, Mask: mask, Xor: make([]byte, ipv6.addrLen)},
		&expr.Cmp{Op: op, Register: register, Data: linkLocal.Addr().AsSlice()},
	)}
}

func isLinkLocal(a netip.Addr) bool { return linkLocal.Contains(a.WithZone("")) }

// interfaceName returns an interface's name, in the network namespace of a socket.
func interfaceName(c *netlink.Conn, index uint32) (string, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", err
	}
	request, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	request.SetUint32(index)
	if controlErr := raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, request) }); controlErr != nil {
		return "", controlErr
	}
	return request.Name(), err
}
