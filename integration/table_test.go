package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listing is what nft -j lists, as far as these tests look at it.
type listing struct {
	Nftables []struct {
		Set *struct {
			Elem []json.RawMessage `json:"elem"`
		} `json:"set"`
	} `json:"nftables"`
}

// list runs nft -j list with the arguments given.
func (h *host) list(t testing.TB, what ...string) listing {
	t.Helper()
	out := h.run(t, "nft", append([]string{"-j", "list"}, what...)...)
	var l listing
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatalf("nft -j list %v: %v\n%s", what, err, out)
	}
	return l
}

// A rule is a line of a chain.
type rule struct{ table, chain, text string }

// rules returns all rules of the host. They are read from the text, as nft
// before 1.1 cannot write JSON of a table that persists without its owner.
func (h *host) rules(t testing.TB) []rule {
	t.Helper()
	var rules []rule
	var table, chain string
	for line := range strings.Lines(h.run(t, "nft", "list", "ruleset")) {
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
			rules = append(rules, rule{table, chain, line})
		}
	}
	return rules
}

var counterPackets = regexp.MustCompile(`counter packets (\d+)`)

// packets returns what the rule has counted.
func (r rule) packets() int {
	match := counterPackets.FindStringSubmatch(r.text)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

// shutOut returns how many packets the gate has dropped or rejected.
func (h *host) shutOut(t testing.TB) int {
	t.Helper()
	sum := 0
	for _, r := range h.rules(t) {
		if r.table == gateTable && (strings.Contains(r.text, " drop ") || strings.Contains(r.text, " reject ")) {
			sum += r.packets()
		}
	}
	return sum
}

// An entry is somebody who is let in.
type entry struct {
	who     netip.Prefix
	timeout time.Duration // zero: until closed
	expires time.Duration
}

// openSet is the name of the set of those whom a door lets in.
func (f family) openSet(door string) string { return fmt.Sprintf("%s_open%d", door, int(f)) }

// entries lists those whom a door lets in.
func (s *site) entries(t testing.TB, door string) []entry {
	t.Helper()
	var entries []entry
	for _, object := range s.server.list(t, "set", "inet", gateTable, s.family.openSet(door)).Nftables {
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
func parseEntry(raw json.RawMessage) (entry, error) {
	var timed struct {
		Elem *struct {
			Val              json.RawMessage
			Timeout, Expires int // seconds
		}
	}
	value := raw
	var e entry
	if json.Unmarshal(raw, &timed) == nil && timed.Elem != nil {
		value = timed.Elem.Val
		e.timeout = time.Duration(timed.Elem.Timeout) * time.Second
		e.expires = time.Duration(timed.Elem.Expires) * time.Second
	}

	var prefixed struct {
		Prefix *struct {
			Addr netip.Addr
			Len  int
		}
	}
	if json.Unmarshal(value, &prefixed) == nil && prefixed.Prefix != nil {
		e.who = netip.PrefixFrom(prefixed.Prefix.Addr, prefixed.Prefix.Len)
		return e, nil
	}
	var a netip.Addr
	if err := json.Unmarshal(value, &a); err != nil {
		return entry{}, err
	}
	e.who = netip.PrefixFrom(a, a.BitLen())
	return e, nil
}

// entry returns how a door lets somebody in, and false if it does not.
func (s *site) entry(t testing.TB, door string, who netip.Addr) (entry, bool) {
	t.Helper()
	for _, e := range s.entries(t, door) {
		if e.who.Contains(who) {
			return e, true
		}
	}
	return entry{}, false
}

// waitIn waits until a door lets somebody in, and returns how.
func (s *site) waitIn(t testing.TB, door string, who netip.Addr) entry {
	t.Helper()
	var e entry
	eventually(t, fmt.Sprintf("door %s lets %v in", door, who), func() (is bool) {
		e, is = s.entry(t, door, who)
		return is
	})
	return e
}

// waitOut waits until a door does not let somebody in any more.
func (s *site) waitOut(t testing.TB, door string, who netip.Addr) {
	t.Helper()
	eventually(t, fmt.Sprintf("door %s lets %v out", door, who), func() bool {
		_, in := s.entry(t, door, who)
		return !in
	})
}

// expectOut makes sure that a door does not let somebody in.
func (s *site) expectOut(t testing.TB, door string, who netip.Addr) {
	t.Helper()
	if e, in := s.entry(t, door, who); in {
		t.Fatalf("door %s lets %v in (%v)", door, who, e)
	}
}

// settle waits until the gate has judged every knock sent so far: somebody
// who has not been here yet knocks, and the log keeps the order.
func (s *site) settle(t testing.TB, door string, sequence ...string) {
	t.Helper()
	s.witnesses++
	witness := s.family.addr(1, 99+s.witnesses, 1)
	s.knock(t, witness, sequence...)
	s.waitIn(t, door, witness)
}
