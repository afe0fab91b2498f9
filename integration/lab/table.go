package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Listing is what nft -j lists, as far as these tests look at it.
type Listing struct {
	Nftables []struct {
		Set *struct {
			Elem []json.RawMessage `json:"elem"`
		} `json:"set"`
	} `json:"nftables"`
}

// List runs nft -j list with the arguments given.
func (h *Host) List(t testing.TB, what ...string) Listing {
	t.Helper()
	out := h.Run(t, "nft", append([]string{"-j", "list"}, what...)...)
	var l Listing
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatalf("nft -j list %v: %v\n%s", what, err, out)
	}
	return l
}

// A Rule is a line of a chain.
type Rule struct{ Table, Chain, Text string }

// Rules returns all rules of the host. They are read from the text, as nft
// before 1.1 cannot write JSON of a table that persists without its owner.
func (h *Host) Rules(t testing.TB) []Rule {
	t.Helper()
	var rules []Rule
	var table, chain string
	for line := range strings.Lines(h.Run(t, "nft", "list", "ruleset")) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "table "):
			table = words[2]
		case strings.HasPrefix(line, "chain "):
			chain = words[1]
		case line == "}":
			chain = ""
		case chain != "" && !strings.HasPrefix(line, "type "):
			rules = append(rules, Rule{table, chain, line})
		}
	}
	return rules
}

var counterPackets = regexp.MustCompile(`counter packets (\d+)`)

// Packets returns what the rule has counted.
func (r Rule) Packets() int {
	match := counterPackets.FindStringSubmatch(r.Text)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

// ShutOut returns how many packets the gate has dropped or rejected.
func (h *Host) ShutOut(t testing.TB) int {
	t.Helper()
	return CountedBy(h.Run(t, "nft", "list", "counters", "table", "inet", GateTable), "_shut")
}

var namedCounter = regexp.MustCompile(`counter (\w+) \{\s+packets (\d+)`)

// CountedBy returns how many packets, in a listing, the counters have counted whose names end like this.
func CountedBy(listing, suffix string) int {
	sum := 0
	for _, match := range namedCounter.FindAllStringSubmatch(listing, -1) {
		if strings.HasSuffix(match[1], suffix) {
			n, _ := strconv.Atoi(match[2])
			sum += n
		}
	}
	return sum
}

// An Entry is somebody who is let in.
type Entry struct {
	Who     netip.Prefix
	Timeout time.Duration // zero: until closed
	Expires time.Duration
}

// IsFor reports whether somebody was let in for a time. On its way to the kernel it may lose some
// milliseconds, and nft counts whole seconds.
func (e Entry) IsFor(d time.Duration) bool { return e.Timeout == d || e.Timeout == d-time.Second }

// OpenSet is the name of the set of those whom a door lets in.
func (f Family) OpenSet(door string) string { return fmt.Sprintf("%s_open%d", door, int(f)) }

// Entries lists those whom a door lets in, but for those with a link-local address.
func (s *Topology) Entries(t testing.TB, door string) []Entry {
	t.Helper()
	return s.entries(t, s.Family.OpenSet(door))
}

func (s *Topology) entries(t testing.TB, set string) []Entry {
	t.Helper()
	var entries []Entry
	for _, object := range s.Server.List(t, "set", "inet", GateTable, set).Nftables {
		if object.Set == nil {
			continue
		}
		for _, raw := range object.Set.Elem {
			e, err := parseEntry(raw)
			if err != nil {
				t.Fatalf("element %s: %v", raw, err)
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// parseEntry reads an element: a value, or an object with a value and times.
func parseEntry(raw json.RawMessage) (Entry, error) {
	var timed struct {
		Elem *struct {
			Val              json.RawMessage
			Timeout, Expires int // seconds
		}
	}
	value := raw
	var e Entry
	if json.Unmarshal(raw, &timed) == nil && timed.Elem != nil {
		value = timed.Elem.Val
		e.Timeout = time.Duration(timed.Elem.Timeout) * time.Second
		e.Expires = time.Duration(timed.Elem.Expires) * time.Second
	}

	var prefixed struct {
		Prefix *struct {
			Addr netip.Addr
			Len  int
		}
	}
	if json.Unmarshal(value, &prefixed) == nil && prefixed.Prefix != nil {
		e.Who = netip.PrefixFrom(prefixed.Prefix.Addr, prefixed.Prefix.Len)
		return e, nil
	}
	var onLink struct {
		Concat []string // the address, and the interface
	}
	if json.Unmarshal(value, &onLink) == nil && len(onLink.Concat) > 0 {
		value, _ = json.Marshal(onLink.Concat[0])
	}
	var a netip.Addr
	if err := json.Unmarshal(value, &a); err != nil {
		return Entry{}, err
	}
	e.Who = netip.PrefixFrom(a, a.BitLen())
	return e, nil
}

// Entry returns how a door lets somebody in, and false if it does not.
func (s *Topology) Entry(t testing.TB, door string, who netip.Addr) (Entry, bool) {
	t.Helper()
	set := s.Family.OpenSet(door)
	if who.IsLinkLocalUnicast() {
		set = door + "_link6"
	}
	for _, e := range s.entries(t, set) {
		if e.Who.Contains(who) {
			return e, true
		}
	}
	return Entry{}, false
}

// WaitIn waits until a door lets somebody in, and returns how.
func (s *Topology) WaitIn(t testing.TB, door string, who netip.Addr) Entry {
	t.Helper()
	var e Entry
	Eventually(t, fmt.Sprintf("door %s lets %v in", door, who), func() (is bool) {
		e, is = s.Entry(t, door, who)
		return is
	})
	return e
}

// WaitOut waits until a door does not let somebody in any more.
func (s *Topology) WaitOut(t testing.TB, door string, who netip.Addr) {
	t.Helper()
	Eventually(t, fmt.Sprintf("door %s lets %v out", door, who), func() bool {
		_, in := s.Entry(t, door, who)
		return !in
	})
}

// ExpectOut makes sure that a door does not let somebody in.
func (s *Topology) ExpectOut(t testing.TB, door string, who netip.Addr) {
	t.Helper()
	if e, in := s.Entry(t, door, who); in {
		t.Fatalf("door %s lets %v in (%v)", door, who, e)
	}
}

// Settle waits until the gate has judged every knock sent so far: somebody
// who has not been here yet knocks, and the log keeps the order.
func (s *Topology) Settle(t testing.TB, door string, sequence ...string) {
	t.Helper()
	s.witnesses++
	witness := s.Family.Addr(1, 99+s.witnesses, 1)
	s.Knock(t, witness, sequence...)
	s.WaitIn(t, door, witness)
}

// PortsIn lists a set of ports of the gate's, in order.
func (h *Host) PortsIn(t testing.TB, set string) []uint16 {
	t.Helper()
	var ports []uint16
	for _, object := range h.List(t, "set", "inet", GateTable, set).Nftables {
		if object.Set == nil {
			continue
		}
		for _, raw := range object.Set.Elem {
			var port uint16
			if err := json.Unmarshal(raw, &port); err != nil {
				t.Fatalf("set %s: element %s: %v", set, raw, err)
			}
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}

// Counters are what has been counted, in a listing.
var Counters = regexp.MustCompile(`packets \d+ bytes \d+`)

// Ruleset returns what nft list ruleset prints, but for what was counted.
func (h *Host) Ruleset(t testing.TB) string {
	t.Helper()
	return Counters.ReplaceAllString(h.Run(t, "nft", "list", "ruleset"), "packets 0 bytes 0")
}

// HasTable reports whether the table of the gate is there.
func (h *Host) HasTable(t *testing.T) bool {
	t.Helper()
	return strings.Contains(h.Run(t, "nft", "list", "tables"), "table inet "+GateTable)
}
