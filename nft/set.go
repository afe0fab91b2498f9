package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// A family is what differs between IPv4 and IPv6.
type family struct {
	keyword string // as nft writes it
	suffix  string // of set names
	nfproto byte
	bits    int
	keyType nftables.SetDatatype
	saddr   uint32 // where the source address is in the header, in bytes
	addrLen uint32 // in bytes
}

var (
	ipv4 = family{"ip", "4", unix.NFPROTO_IPV4, 32, nftables.TypeIPAddr, 12, 4}
	ipv6 = family{"ip6", "6", unix.NFPROTO_IPV6, 128, nftables.TypeIP6Addr, 8, 16}

	families = []family{ipv4, ipv6}
)

func familyOf(addr netip.Addr) family {
	if addr.Is4() {
		return ipv4
	}
	return ipv6
}

// A set is a named set or a map.
type set struct {
	name     string
	comment  string
	keyType  nftables.SetDatatype
	interval bool
	timeout  bool                 // its elements are grants: they stay when the table changes
	verdicts bool                 // a map to chains
	dataType nftables.SetDatatype // of another map
	dynamic  bool                 // the rules fill it
	size     int                  // how many elements a dynamic one can have
	lasts    time.Duration        // how long one of them stays; 0: as each rule says
	elements []element
}

// An element is a single key, or an interval of them.
type element struct {
	text string // as nft writes it
	from []byte
	end  []byte // of an interval: the first key after it; nil if it reaches the last there is
	to   string // of a map to chains: the chain to go to
	data []byte // of another map
}

func portElement(number uint16, chain string) element {
	e := element{text: fmt.Sprint(number), from: binary.BigEndian.AppendUint16(nil, number), to: chain}
	if chain != "" {
		e.text += " : goto " + chain
	}
	return e
}

// portRange is the element for n ports from the first on, in an interval set.
func portRange(first uint16, n int) element {
	last := int(first) + n - 1
	e := element{text: fmt.Sprintf("%d-%d", first, last), from: binary.BigEndian.AppendUint16(nil, first)}
	if last < 65535 {
		e.end = binary.BigEndian.AppendUint16(nil, uint16(last+1))
	}
	return e
}

func interfaceElement(name string) element {
	return element{text: fmt.Sprintf("%q", name), from: ifname(name)}
}

// prefixElement is the element for a prefix, in an interval set.
func prefixElement(p netip.Prefix) element {
	text := p.String()
	if p.IsSingleIP() {
		text = p.Addr().String()
	}
	e := element{text: text, from: p.Addr().AsSlice()}
	if after := lastOf(p).Next(); after.IsValid() {
		e.end = after.AsSlice()
	}
	return e
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// kernel returns the set as google/nftables wants it.
func (s *set) kernel(t *nftables.Table) *nftables.Set {
	k := &nftables.Set{
		Table: t, Name: s.name, Comment: s.comment, KeyType: s.keyType,
		Interval: s.interval, HasTimeout: s.timeout, IsMap: s.verdicts,
		KeyByteOrder: binaryutil.BigEndian,
	}
	if s.keyType == nftables.TypeIFName || s.keyType == nftables.TypeClassID {
		k.KeyByteOrder = binaryutil.NativeEndian
	}
	if s.verdicts {
		k.DataType = nftables.TypeVerdict
	}
	if s.dataType.Bytes != 0 {
		k.IsMap, k.DataType = true, s.dataType
	}
	if s.dynamic {
		k.Dynamic, k.HasTimeout, k.Timeout, k.Size = true, true, s.lasts, uint32(s.size)
	}
	return k
}

// sameTypeAs says whether the set can stay in place of one in the kernel. The
// library reads a verdict map's key type wrongly, so that is not compared: a
// table that is ours has no other maps.
func (s *set) sameTypeAs(k *nftables.Set) bool {
	if s.dynamic && (s.size != int(k.Size) || s.lasts != k.Timeout) {
		return false
	}
	return s.interval == k.Interval && (s.timeout || s.dynamic) == k.HasTimeout && (s.verdicts || s.dataType.Bytes != 0) == k.IsMap && s.dynamic == k.Dynamic &&
		(s.verdicts || s.keyType.GetNFTMagic() == k.KeyType.GetNFTMagic())
}

// script writes the set as `nft list` does.
func (s *set) script(b *strings.Builder) {
	if s.verdicts {
		fmt.Fprintf(b, "\tmap %s {\n\t\ttype %s : verdict\n", s.name, s.keyType.Name)
	} else if s.dataType.Bytes != 0 {
		fmt.Fprintf(b, "\tmap %s {\n\t\ttype %s : %s\n", s.name, s.keyType.Name, s.dataType.Name)
	} else {
		fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n", s.name, s.keyType.Name)
	}
	switch {
	case s.dynamic:
		fmt.Fprintf(b, "\t\tsize %d\n\t\tflags dynamic,timeout\n", s.size)
		if s.lasts != 0 {
			fmt.Fprintf(b, "\t\ttimeout %v\n", s.lasts)
		}
	case s.interval && s.timeout:
		b.WriteString("\t\tflags interval,timeout\n")
	case s.interval:
		b.WriteString("\t\tflags interval\n")
	case s.timeout:
		b.WriteString("\t\tflags timeout\n")
	}
	fmt.Fprintf(b, "\t\tcomment %q\n", s.comment)
	if len(s.elements) > 0 {
		b.WriteString("\t\telements = { ")
		for i, e := range s.elements {
			switch {
			case i > 0 && s.keyType == nftables.TypeInetService && !s.verdicts && i%10 != 0:
				b.WriteString(", ")
			case i > 0:
				b.WriteString(",\n\t\t\t     ")
			}
			b.WriteString(e.text)
		}
		b.WriteString(" }\n")
	}
	b.WriteString("\t}\n\n")
}
