package bench

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/integration/lab"
)

// grantElements puts people into the set of the door ssh, for an hour.
func grantElements(t testing.TB, h *lab.Host, n int) {
	t.Helper()
	const batch, transaction = 256, 64 * 256 // elements; a message holds no more than a few hundred
	set := &nftables.Set{
		Table: &nftables.Table{Name: lab.GateTable, Family: nftables.TableFamilyINet},
		Name:  "ssh_open4", KeyType: nftables.TypeIPAddr, HasTimeout: true,
	}
	c, err := nftables.New(nftables.WithNetNSFd(int(h.NS.Fd())), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetWriteBuffer(16 << 20) // for a transaction
	}))
	if err != nil {
		t.Fatal(err)
	}
	for next := 0; next < n; {
		for end := min(n, next+transaction); next < end; {
			var elements []nftables.SetElement
			for ; len(elements) < batch && next < end; next++ {
				elements = append(elements, nftables.SetElement{
					Key:     binary.BigEndian.AppendUint32(nil, 20<<24+uint32(next)),
					Timeout: time.Hour,
					Comment: "knock",
				})
			}
			if err := c.SetAddElements(set, elements); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// countElements returns how many elements a set of the gate's has. The kernel
// knows, and newer ones tell: to list a million of them takes minutes.
func countElements(t testing.TB, h *lab.Host, set string) int {
	t.Helper()
	const countAttribute = 20 // NFTA_SET_COUNT
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_SET_TABLE, Data: []byte(lab.GateTable + "\x00")},
		{Type: unix.NFTA_SET_NAME, Data: []byte(set + "\x00")},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(h.NS.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	replies, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSET, Flags: netlink.Request},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	if err != nil {
		t.Fatalf("set %s: %v", set, err)
	}
	const header = 4 // struct nfgenmsg
	d, err := netlink.NewAttributeDecoder(replies[0].Data[header:])
	if err != nil {
		t.Fatal(err)
	}
	d.ByteOrder = binary.BigEndian
	for d.Next() {
		if d.Type() == countAttribute {
			return int(d.Uint32())
		}
	}
	t.Fatalf("set %s: this kernel does not tell how many elements it has: Linux 6.18 does", set)
	return 0
}
