package config

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
)

// Attributes of RTM_NEWLINK that the syscall package does not know (linux/if_link.h).
const (
	iflaLinkInfo     = 18
	iflaInfoKind     = 1
	iflaPropList     = 52
	iflaAltIfname    = 53
	attributeType    = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	attributeHeader  = syscall.SizeofRtAttr
	attributeAligned = syscall.RTA_ALIGNTO
)

// masters are the kinds of interfaces whose ports' packets arrive under their name.
var masters = []string{"bridge", "bond", "team", "vrf"}

func readLinks() ([]Link, error) {
	data, err := syscall.NetlinkRIB(syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	type link struct {
		Link
		master uint32 // index; 0: none
		kind   string
	}
	byIndex := make(map[uint32]*link)
	var order []uint32
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		index := binary.NativeEndian.Uint32(m.Data[4:])
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		l := &link{}
		l.Loopback = flags&syscall.IFF_LOOPBACK != 0
		for kind, value := range attributes(m.Data[syscall.SizeofIfInfomsg:]) {
			switch kind {
			case syscall.IFLA_IFNAME:
				l.Name = text(value)
			case syscall.IFLA_MASTER:
				if len(value) == 4 {
					l.master = binary.NativeEndian.Uint32(value)
				}
			case iflaLinkInfo:
				for kind, value := range attributes(value) {
					if kind == iflaInfoKind {
						l.kind = text(value)
					}
				}
			case iflaPropList:
				for kind, value := range attributes(value) {
					if kind == iflaAltIfname {
						l.AltNames = append(l.AltNames, text(value))
					}
				}
			}
		}
		byIndex[index] = l
		order = append(order, index)
	}
	links := []Link{} // known, even if there were none
	for _, index := range order {
		l := byIndex[index]
		// One that is in another namespace, or gone by now, is not there.
		if master, ok := byIndex[l.master]; ok && slices.Contains(masters, master.kind) {
			l.Master, l.Kind = master.Name, master.kind
		}
		links = append(links, l.Link)
	}
	return links, nil
}

// attributes calls yield for each netlink attribute: its type and value.
func attributes(data []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= attributeHeader {
			n := int(binary.NativeEndian.Uint16(data))
			if n < attributeHeader || n > len(data) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(data[2:])&attributeType, data[attributeHeader:n]) {
				return
			}
			data = data[min(len(data), (n+attributeAligned-1)&^(attributeAligned-1)):]
		}
	}
}

// text returns a string that ends with a zero.
func text(value []byte) string {
	value, _, _ = bytes.Cut(value, []byte{0})
	return string(value)
}
