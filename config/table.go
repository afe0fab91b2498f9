package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nftknock/config/internal/doc"
)

// identifier is narrower than what nft takes for a table's name, so that it never
// has to be quoted anywhere.
var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// reserved are the words that mean something else to nft where a table's name
// stands (nft 1.0.6 to 1.1.6; none has an underscore or capitals): the kernel would
// take them, but nft could not read its own listing.
var reserved = strings.Fields(`
	accept add ah all and arp bridge cgroup chain comment comp constant continue counter cpu create ct day dccp
	define delete describe destroy device devices dnat drop dst dup dynamic ecn element elements eq esp ether
	exists expires export exthdr fib flags flow flowtable flush frag fwd ge geneve get goto gre gretap gt handle
	hbh hook hour ibriport ibrname icmp icmpv6 igmp iif iifgroup iifname iiftype import include index inet insert
	interval ip ip6 ipsec jhash jump last le limit list log lshift lt map mark masquerade meta meter mh missing
	monitor ne netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname oiftype or osf
	pkttype policy position priority queue quota random redefine redirect reject rename replace reset return
	rshift rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy
	table tcp th time timeout tproxy tunnel type typeof udp udplite undefine update vlan vmap vni vxlan xor xt`)

func tableName(v any) (string, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return "", doc.WrongKind(v, `a string, such as "nftknock"`)
	case !identifier.MatchString(s):
		return "", fmt.Errorf("invalid value %q: want a lower-case letter, then up to 30 lower-case letters, digits or _", s)
	case slices.Contains(reserved, s):
		return "", fmt.Errorf("%q is a word of nft's own, which could not read the table: write another, such as %q", s, s+"_knock")
	}
	return s, nil
}
