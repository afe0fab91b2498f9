package migrate

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"nftknock/knock"
)

// A rule is what a command does to a firewall, for the source that has knocked.
type rule struct {
	opens bool
	ports []knock.Port  // none: the command does not say
	set   string        // the set that the source is put into, or taken from
	lasts time.Duration // after which the firewall itself undoes it; 0: never
	notes []string      // what a door does in another way
}

func (r *rule) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// knocker is what knockd puts the source's address for.
const knocker = "%IP%"

// source judges whom a rule is for.
func (r *rule) source(s string) error {
	address, bits, wide := strings.Cut(s, "/")
	switch {
	case s == "":
		r.note("it is for everybody, whoever knocks: a door opens to who has knocked, and to nobody else")
	case address != knocker:
		return fmt.Errorf("it is for %q and not for who has knocked (%s): always_allow lets sources in without a knock", s, knocker)
	case wide && bits != "32" && bits != "128":
		r.note("it is for a whole network, /%s: write ipv4_prefix or ipv6_prefix for that", bits)
	}
	return nil
}

// verdict judges what becomes of the packets; adds says that the rule is added and
// not taken away.
func (r *rule) verdict(word string, adds bool) error {
	switch strings.ToLower(word) {
	case "accept", "allow":
		r.opens = adds
	case "limit":
		r.opens = adds
		r.note("it limits how often somebody can connect, which a door does not")
	case "drop", "reject", "deny":
		r.opens = !adds
	case "":
		return errors.New("it does not say what becomes of the packets")
	default:
		return fmt.Errorf("%q neither lets packets in nor keeps them out", word)
	}
	return nil
}

// mostPorts bounds what a range of ports becomes.
const mostPorts = 64

// addPorts adds ports as firewalls write them: "22", "ssh", "80,443", "6000:6007" or
// "6000-6007".
func (r *rule) addPorts(list string, protos ...knock.Proto) error {
	for word := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(strings.Replace(word, "-", ":", 1), ":")
		if _, err := portNumber(word); err == nil { // imap-ssl is no range
			first, last, ranged = word, "", false
		}
		if !ranged {
			last = first
		}
		from, err := portNumber(first)
		if err != nil {
			return err
		}
		to, err := portNumber(last)
		switch {
		case err != nil:
			return err
		case to < from || to-from >= mostPorts:
			return fmt.Errorf("ports %s: a door names its ports, and these are no range of %d or fewer", word, mostPorts)
		}
		for n := int(from); n <= int(to); n++ {
			for _, proto := range protos {
				r.addPort(knock.Port{Number: uint16(n), Proto: proto})
			}
		}
	}
	return nil
}

func (r *rule) addPort(p knock.Port) {
	if !slices.Contains(r.ports, p) {
		r.ports = append(r.ports, p)
	}
}

// portNumber reads a port or the name of a service in services(5), as firewalls do.
func portNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n > 0 {
		return uint16(n), nil
	}
	if err != nil && s != "" && !strings.ContainsAny(s[:1], "0123456789+-") {
		if n, err := net.LookupPort("tcp", strings.ToLower(s)); err == nil && n > 0 {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("%q is no port", s)
}

// protocols reads a protocol; where there is none it is both.
func protocols(s string) ([]knock.Proto, error) {
	switch strings.ToLower(s) {
	case "tcp", "6":
		return []knock.Proto{knock.TCP}, nil
	case "udp", "17":
		return []knock.Proto{knock.UDP}, nil
	case "", "any", "all":
		return []knock.Proto{knock.TCP, knock.UDP}, nil
	}
	return nil, fmt.Errorf("protocol %q: a door guards TCP and UDP ports", s)
}
