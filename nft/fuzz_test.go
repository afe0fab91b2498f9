package nft

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/knock"
)

// Targets for what the kernel sends. The kernel can be believed; but much of
// what it sends was written by whoever may change its tables.

// FuzzConcerns looks for messages about other things than the table that are
// taken for messages about it.
func FuzzConcerns(f *testing.F) {
	const table, other = "nftknock", "portier"
	for _, name := range []string{table, other, table + "s"} {
		for _, m := range messagesAbout(f, name) {
			f.Add(uint16(m.Header.Type), m.Data)
		}
	}
	f.Add(uint16(0), []byte(nil))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
		if !concerns(m, table) {
			return
		}
		if concerns(m, other) {
			t.Error("concerns two tables")
		}
		if kind>>8 != unix.NFNL_SUBSYS_NFTABLES || data[0] != unix.NFPROTO_INET {
			t.Errorf("message of type %#x and family %d", kind, data[0])
		}
		if !bytes.Contains(data, []byte(table)) {
			t.Errorf("the table's name is not in %q", data)
		}
	})
}

// messagesAbout returns messages about all that is in a table.
func messagesAbout(t testing.TB, name string) []netlink.Message {
	t.Helper()
	table := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	chain := &nftables.Chain{Name: "gate", Table: table}
	set := &nftables.Set{Table: table, Name: "ssh_open4", KeyType: nftables.TypeIPAddr, HasTimeout: true, Interval: true}
	guard := &nftables.Set{
		Table: table, Name: "guard_tcp", KeyType: nftables.TypeInetService, DataType: nftables.TypeVerdict, IsMap: true,
	}
	in := prefixElement(netip.MustParsePrefix("203.0.113.0/24")).kernel()
	in[0].Timeout, in[0].Comment = time.Minute, "knock"
	batch, err := encode(func(c *nftables.Conn) error {
		c.AddTable(table)
		c.AddChain(chain)
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
		if err := c.AddSet(guard, portElement(22, "tcp_22").kernel()); err != nil {
			return err
		}
		if err := c.AddSet(set, in); err != nil {
			return err
		}
		c.DelTable(table)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// FuzzElements reads a set that consists of anything.
func FuzzElements(f *testing.F) {
	for _, data := range someElements(f) {
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, interval bool) {
		_, elements, err := readFrom(t, data, interval)
		if err != nil {
			return
		}
		for _, e := range elements {
			checkPrefix(t, e.Key, e.KeyEnd, prefixOf(e, interval), interval)
			if chain := verdictChain(e); strings.Contains(chain, "\x00") || !bytes.Contains(e.Val, []byte(chain)) {
				t.Errorf("chain %q from %q", chain, e.Val)
			}
			if left := remaining(e); left < time.Millisecond && e.Timeout != 0 {
				t.Errorf("%v left of %v would be taken for forever", left, e.Timeout)
			}
		}
	})
}

const newElements = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM

// someElements returns what messages about elements contain.
func someElements(t testing.TB) [][]byte {
	t.Helper()
	var data [][]byte
	for _, m := range messagesAbout(t, "nftknock") {
		if m.Header.Type == newElements {
			data = append(data, m.Data)
		}
	}
	return data
}

// readFrom reads a door's set, of which the kernel says what is in data.
func readFrom(t *testing.T, data []byte, interval bool) (*nftables.Set, []nftables.SetElement, error) {
	t.Helper()
	answer := netlink.Message{Header: netlink.Header{Type: newElements}, Data: data}
	c, err := nftables.New(nftables.WithTestDial(func([]netlink.Message) ([]netlink.Message, error) {
		return []netlink.Message{answer}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	set := &nftables.Set{
		Table: &nftables.Table{Name: "nftknock", Family: nftables.TableFamilyINet},
		Name:  "ssh_open4", KeyType: nftables.TypeIPAddr, HasTimeout: true, Interval: interval,
	}
	elements, err := readElements(c, set)
	return set, elements, err
}

// FuzzPrefixOf looks for intervals of which not the longest prefix that holds
// them is taken.
func FuzzPrefixOf(f *testing.F) {
	for _, p := range []string{"203.0.113.7/32", "203.0.113.0/24", "255.0.0.0/8", "0.0.0.0/0", "2001:db8::/64", "::/0", "ffff::/16"} {
		e := prefixElement(netip.MustParsePrefix(p))
		f.Add(e.from, e.end, true)
	}
	f.Add([]byte{10, 0, 0, 1}, []byte{10, 0, 0, 7}, true) // no prefix
	f.Add([]byte{10, 0, 0, 1}, []byte{10, 0, 0, 1}, true) // nothing
	f.Add([]byte{10, 0, 0, 1}, []byte{0, 0, 0, 0}, true)
	f.Add([]byte{10, 0, 0, 1}, []byte(nil), false)
	f.Fuzz(func(t *testing.T, from, end []byte, interval bool) {
		checkPrefix(t, from, end, prefixOf(nftables.SetElement{Key: from, KeyEnd: end}, interval), interval)
	})
}

// checkPrefix makes sure that a prefix is the one of the interval up to before end.
func checkPrefix(t *testing.T, from, end []byte, p netip.Prefix, interval bool) {
	t.Helper()
	first, ok := netip.AddrFromSlice(from)
	if !ok {
		if p.IsValid() {
			t.Errorf("%v is the prefix of %v, which is no address", p, from)
		}
		return
	}
	if !p.Contains(first) {
		t.Fatalf("%v does not contain %v", p, first)
	}
	if !interval {
		if !p.IsSingleIP() {
			t.Errorf("%v is the prefix of %v alone", p, first)
		}
		return
	}
	last := lastOf(netip.PrefixFrom(first, 0))
	if after, ok := netip.AddrFromSlice(end); ok && after.BitLen() == first.BitLen() {
		last = after.Prev()
	}
	if last.Less(first) { // nothing is in the interval
		return
	}
	if !p.Contains(last) {
		t.Errorf("%v does not contain %v", p, last)
	}
	if longer := netip.PrefixFrom(first, p.Bits()+1).Masked(); longer.Contains(last) {
		t.Errorf("%v is not the longest prefix that contains %v and %v", p, first, last)
	}
}

// FuzzIntervals takes prefixes apart, as the kernel has them, and puts them
// together again.
func FuzzIntervals(f *testing.F) {
	f.Add([]byte{203, 0, 113, 0, 24, 203, 0, 114, 0, 24, 0, 0, 0, 0, 8, 255, 255, 255, 255, 32}, false, uint64(1))
	f.Add([]byte{0, 0, 0, 0, 0}, false, uint64(2))
	f.Add(append(netip.MustParseAddr("2001:db8::7").AsSlice(), 64), true, uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, six bool, seed uint64) {
		var want []netip.Prefix
		const most = 64 // as all are compared with all
		for p := range prefixesOf(data, six) {
			if len(want) == most {
				break
			}
			if !slices.ContainsFunc(want, p.Overlaps) {
				want = append(want, p)
			}
		}
		var halves []nftables.SetElement
		for _, p := range want {
			halves = append(halves, prefixElement(p).kernel()...)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		random.Shuffle(len(halves), func(i, j int) { halves[i], halves[j] = halves[j], halves[i] })

		var got []netip.Prefix
		for _, e := range joinIntervals(halves) {
			got = append(got, prefixOf(e, true))
		}
		slices.SortFunc(want, netip.Prefix.Compare)
		slices.SortFunc(got, netip.Prefix.Compare)
		if !slices.Equal(want, got) {
			t.Errorf("%v became %v", want, got)
		}
	})
}

// prefixesOf reads prefixes: an address and the number of its bits that count.
func prefixesOf(data []byte, six bool) func(func(netip.Prefix) bool) {
	size := int(ipv4.addrLen)
	if six {
		size = int(ipv6.addrLen)
	}
	return func(yield func(netip.Prefix) bool) {
		for record := range slices.Chunk(data, size+1) {
			if len(record) < size+1 {
				return
			}
			a, _ := netip.AddrFromSlice(record[:size])
			if !yield(netip.PrefixFrom(a, int(record[size])%(a.BitLen()+1)).Masked()) {
				return
			}
		}
	}
}

// FuzzReceive gives the listener messages with any attributes, as the kernel writes
// them: each is a knock or ignored, and what is missing is counted.
func FuzzReceive(f *testing.F) {
	for _, k := range knocks {
		f.Add(k.packet, []byte{7}, uint32(1))
	}
	f.Add([]byte(nil), []byte{0, 1, 2, 3, 255}, uint32(1<<32-2))
	f.Fuzz(func(t *testing.T, payload, kinds []byte, seq uint32) {
		payload = payload[:min(len(payload), snaplen)]
		const hasSeq, hasPayload = 1, 2 // else the bits of a kind tell how many messages were lost
		var datagram []byte
		var lost uint64
		counting := false
		for _, kind := range kinds {
			var attributes []netlink.Attribute
			if kind&hasPayload != 0 {
				attributes = append(attributes, netlink.Attribute{Type: 9, Data: payload})
			}
			if kind&hasSeq != 0 {
				gap := kind >> 2
				if counting {
					seq += uint32(gap)
					lost += uint64(gap)
				}
				attributes = append(attributes, netlink.Attribute{Type: 12, Data: binary.BigEndian.AppendUint32(nil, seq)})
				counting = true
				seq++
			}
			datagram = append(datagram, logMessage(t, attributes)...)
		}
		var observed uint64
		l := Listener{stamping: true, observe: func(time.Time, knock.Packet, []byte) { observed++ }}
		for m := range messages(datagram) {
			l.receive(m)
		}
		if n := observed + l.Ignored(); n != uint64(len(kinds)) {
			t.Errorf("%d messages observed or ignored, of %d", n, len(kinds))
		}
		if l.Lost() != lost {
			t.Errorf("%d messages were lost, and %d counted", lost, l.Lost())
		}
		if _, _, err := decode(payload); err != nil && observed > 0 {
			t.Errorf("observed what is no knock: %v", err)
		}
	})
}

// logMessage returns a message of the log, as it is in a datagram.
func logMessage(t *testing.T, attributes []netlink.Attribute) []byte {
	b, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		t.Fatal(err)
	}
	m := netlink.Message{Header: netlink.Header{Type: unix.NFNL_SUBSYS_ULOG << 8}, Data: append(make([]byte, nfnetlinkHeader), b...)}
	m.Header.Length = uint32(netlinkHeader + len(m.Data))
	b, err = m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzMessages gives the listener anything: no datagram brings it down.
func FuzzMessages(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, netlinkHeader+nfnetlinkHeader+attributeHeader))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		l := Listener{stamping: true, observe: func(time.Time, knock.Packet, []byte) {}}
		n := 0
		for m := range messages(datagram) {
			l.receive(m)
			n++
		}
		if n > len(datagram)/netlinkHeader {
			t.Errorf("%d messages in %d bytes", n, len(datagram))
		}
	})
}
