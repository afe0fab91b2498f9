package nft

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"nftknock/knock"
)

// A flowList is elements of the sets of flows, by the sets' names.
type flowList map[string][]nftables.SetElement

// listFlows returns what is up at the guarded ports: this host's own connections, and those that
// are published. They are to go on when the table is new, or its ports, or when somebody has emptied its sets.
func (r *Ruleset) listFlows() (flowList, error) {
	sockets, err := socketFlows()
	if err != nil {
		return nil, err
	}
	published, err := publishedFlows()
	if err != nil {
		return nil, err
	}
	list := make(flowList)
	for _, f := range append(sockets, published...) {
		if !slices.Contains(r.guarded, knock.Port{Number: f.host.Port(), Proto: f.proto}) || f.peer.Addr().IsLoopback() {
			continue
		}
		sets, timeout := upSets, time.Duration(upTimeout)
		switch {
		case f.closing:
			sets, timeout = closingSets, closingTimeout
		case f.proto == knock.UDP:
			timeout = udpTimeout
		}
		k := flowKeyOf(f.peer.Addr())
		if len(list[sets+k.suffix]) < flowsAtOnce {
			list[sets+k.suffix] = append(list[sets+k.suffix], nftables.SetElement{Key: k.key(f), Timeout: timeout})
		}
	}
	return list, nil
}

func flowKeyOf(peer netip.Addr) flowKey {
	switch {
	case peer.Is4():
		return flow4
	case isLinkLocal(peer):
		return flow6Link
	}
	return flow6
}

// key returns a flow's key as load puts it together.
func (k flowKey) key(f flow) []byte {
	var b []byte
	addr := func(end netip.AddrPort) { b = append(b, end.Addr().AsSlice()...) }
	port := func(end netip.AddrPort) { b = append(binary.BigEndian.AppendUint16(b, end.Port()), 0, 0) }
	addr(f.peer)
	port(f.peer)
	if !k.link {
		addr(f.host)
	}
	port(f.host)
	b = append(b, byte(f.proto), 0, 0, 0)
	if k.link {
		b = append(b, ifname(f.peer.Addr().Zone())...)
	}
	return b
}

// readFlows returns what is up by the sets of a table.
func (t *Table) readFlows() (flowList, error) {
	list := make(flowList)
	for _, s := range t.rules.sets {
		if !s.isFlows() {
			continue
		}
		elements, err := readElements(t.query, s.kernel(t.table))
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			list[s.name] = append(list[s.name], nftables.SetElement{Key: e.Key, Timeout: remaining(e)})
		}
	}
	return list, nil
}

// addFlows adds what is up to a table's sets.
func (t *Table) addFlows(list flowList) error {
	batch, err := encode(func(c *nftables.Conn) error {
		tx := &transaction{table: t.table, conn: c}
		for _, s := range t.rules.sets {
			if err := tx.addElements(s.kernel(t.table), list[s.name]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return commit(t.socket, batch)
}

// isFlows says whether a set is one of those of flows.
func (s *set) isFlows() bool { return s.dynamic && s.lasts == 0 }
