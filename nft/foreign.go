package nft

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// What somebody else does to elements of the table's sets is of three kinds. Who is granted with nft is in, and whose
// grant is deleted with it is out: the cache of grants follows. How fast a source knocks is nobody's concern. And what
// is up is for the rules alone to say: an entry that somebody has added would be a way in.

// A foreignChange is one or more elements that somebody else has added to a set, or deleted.
type foreignChange struct {
	set      string
	deleted  bool
	elements []nftables.SetElement
}

// foreignFlows are the changes to the sets of flows that are still to be undone.
type foreignFlows struct {
	mu      sync.Mutex
	changes []foreignChange
}

// maxForeignFlows bounds how many changes are noted. Beyond it, and when the kernel's messages were lost,
// the sets are made anew from what is listed.
const maxForeignFlows = 4096

func (f *foreignFlows) note(c foreignChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.changes) < maxForeignFlows {
		f.changes = append(f.changes, c)
	}
}

func (f *foreignFlows) take() []foreignChange {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.changes
	f.changes = nil
	return taken
}

// heard takes note of a change to a set's elements, and reports whether it is to be undone.
func (t *Table) heard(c foreignChange) bool {
	_, ofDoor := cutGrantSuffix(c.set)
	switch {
	case ofDoor:
		t.follow(c)
		return false
	case isFlowSetName(c.set):
		t.foreign.note(c)
		return true
	}
	return !isRateSetName(c.set)
}

// follow lets the cache know of those whom somebody has let in, or revoked, with nft.
func (t *Table) follow(c foreignChange) {
	elements, interval := c.elements, false
	if slices.ContainsFunc(elements, func(e nftables.SetElement) bool { return e.IntervalEnd }) {
		elements, interval = joinIntervals(slices.Clone(elements)), true
	}
	for _, e := range elements {
		g := grantOf(c.set, e, interval)
		switch {
		case !g.Source.IsValid():
		case c.deleted:
			t.grants.remove(g)
		default:
			if g.Left = knock.Forever; e.Timeout != 0 {
				g.Left = e.Timeout
			}
			t.grants.add(g)
		}
	}
}

func isFlowSetName(name string) bool {
	return slices.ContainsFunc(flowKeys, func(k flowKey) bool {
		return name == upSets+k.suffix || name == begunSets+k.suffix || name == closingSets+k.suffix
	})
}

func isRateSetName(name string) bool {
	return strings.HasPrefix(name, answerSets) || slices.ContainsFunc(families, func(f family) bool { return name == rateSets+f.suffix })
}

// readForeignChange reads a message about elements of a set (nf_tables_fill_setelem_info).
func readForeignChange(m netlink.Message) (foreignChange, error) {
	const elementList = 3 // NFTA_SET_ELEM_LIST_ELEMENTS
	c := foreignChange{deleted: m.Header.Type&0xff == unix.NFT_MSG_DELSETELEM}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfnetlinkHeader:])
	if err != nil {
		return c, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_LIST_SET:
			c.set = ad.String()
		case elementList:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					var e nftables.SetElement
					ad.Nested(func(ad *netlink.AttributeDecoder) error { return readElement(ad, &e) })
					c.elements = append(c.elements, e)
				}
				return nil
			})
		}
	}
	return c, ad.Err()
}

func readElement(ad *netlink.AttributeDecoder, e *nftables.SetElement) error {
	const intervalEnd = 1 // NFT_SET_ELEM_INTERVAL_END
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.NFTA_DATA_VALUE {
						e.Key = ad.Bytes()
					}
				}
				return nil
			})
		case unix.NFTA_SET_ELEM_FLAGS:
			e.IntervalEnd = ad.Uint32()&intervalEnd != 0
		case unix.NFTA_SET_ELEM_TIMEOUT:
			e.Timeout = time.Duration(ad.Uint64()) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			e.Comment = commentOf(ad.Bytes())
		}
	}
	return nil
}

// appendComment appends a comment as user data of an element.
func appendComment(b []byte, comment string) []byte {
	return userdata.Append(b, userdata.NFTNL_UDATA_SET_ELEM_COMMENT, append([]byte(comment), 0))
}

// commentOf returns the comment in an element's user data, which is types and lengths of one byte and values.
func commentOf(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if userdata.Type(b[0]) == userdata.NFTNL_UDATA_SET_ELEM_COMMENT {
			return unix.ByteSliceToString(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}
