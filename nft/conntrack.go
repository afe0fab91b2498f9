package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// conntrackModule is there when the kernel can track connections. To ask for their list would
// load the module, and must not.
const conntrackModule = "/sys/module/nf_conntrack"

// Connection tracking's list, ctnetlink: linux/netfilter/nfnetlink_conntrack.h and
// nf_conntrack_common.h.
const (
	ctGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

	ctTupleOrig = 1 // CTA_TUPLE_ORIG
	ctStatus    = 3 // CTA_STATUS
	ctProtoInfo = 4 // CTA_PROTOINFO

	ctTupleIP    = 1 // CTA_TUPLE_IP
	ctTupleProto = 2 // CTA_TUPLE_PROTO

	ctProtoInfoTCP = 1 // CTA_PROTOINFO_TCP
	ctTCPState     = 1 // CTA_PROTOINFO_TCP_STATE

	ctAssured = 1 << 2 // IPS_ASSURED: there were packets both ways
	ctDNAT    = 1 << 5 // IPS_DST_NAT

	ctTCPEstablished = 3 // TCP_CONNTRACK_ESTABLISHED
)

// publishedFlows returns the flows to ports that are translated to those of a container or of
// another host (DNAT), which this host has no sockets of. That takes connection tracking, so
// it is at work already, or there are none.
func publishedFlows() ([]flow, error) {
	if _, err := os.Stat(conntrackModule); err != nil {
		return nil, nil
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	defer c.Close()
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: ctGet, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // no nf_conntrack_netlink
	} else if err != nil {
		return nil, fmt.Errorf("listing the published connections: %w", err)
	}
	var flows []flow
	for _, m := range messages {
		if f, ok := publishedFlow(m.Data); ok {
			flows = append(flows, f)
		}
	}
	return flows, nil
}

// publishedFlow reads an entry. Of TCP only established ones count: entries outlive their connections.
func publishedFlow(b []byte) (flow, bool) {
	if len(b) < nfnetlinkHeader {
		return flow{}, false
	}
	var f flow
	var status uint32
	established := true
	ad, err := netlink.NewAttributeDecoder(b[nfnetlinkHeader:])
	if err != nil {
		return flow{}, false
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case ctTupleOrig:
			ad.Nested(f.readTuple)
		case ctStatus:
			status = ad.Uint32()
		case ctProtoInfo:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() != ctProtoInfoTCP {
						continue
					}
					ad.Nested(func(ad *netlink.AttributeDecoder) error {
						for ad.Next() {
							if ad.Type() == ctTCPState {
								established = ad.Uint8() == ctTCPEstablished
							}
						}
						return nil
					})
				}
				return nil
			})
		}
	}
	const published = ctAssured | ctDNAT
	known := f.proto == knock.TCP || f.proto == knock.UDP
	return f, ad.Err() == nil && status&published == published && established && known && f.peer.IsValid() && f.host.IsValid()
}

// readTuple reads the addresses and ports that the peer uses.
func (f *flow) readTuple(ad *netlink.AttributeDecoder) error {
	const (
		srcIP4, dstIP4, srcIP6, dstIP6 = 1, 2, 3, 4 // CTA_IP_V4_SRC…
		number, srcPort, dstPort       = 1, 2, 3    // CTA_PROTO_NUM…
	)
	var src, dst netip.Addr
	var sport, dport uint16
	for ad.Next() {
		switch ad.Type() {
		case ctTupleIP:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case srcIP4, srcIP6:
						src, _ = netip.AddrFromSlice(ad.Bytes())
					case dstIP4, dstIP6:
						dst, _ = netip.AddrFromSlice(ad.Bytes())
					}
				}
				return nil
			})
		case ctTupleProto:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case number:
						f.proto = knock.Proto(ad.Uint8())
					case srcPort:
						sport = ad.Uint16()
					case dstPort:
						dport = ad.Uint16()
					}
				}
				return nil
			})
		}
	}
	f.peer, f.host = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return nil
}
