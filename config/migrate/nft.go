package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// nft reads the arguments of nft(8): rules, and elements of sets.
func nft(args []string) (*rule, error) {
	spaced := strings.NewReplacer("{", " { ", "}", " } ", ",", " , ", ";", " ; ", `"`, " ").Replace(strings.Join(args, " "))
	words := strings.Fields(spaced)
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		words = words[1:]
	}
	const unclear = "it neither adds a rule or an element nor takes one away"
	if len(words) < 2 {
		return nil, errors.New(unclear)
	}
	verb, object, rest := words[0], words[1], words[2:]
	adds := slices.Contains([]string{"add", "insert", "create"}, verb)
	if !adds && verb != "delete" && verb != "destroy" || slices.Contains(rest, ";") {
		return nil, errors.New(unclear)
	}
	if len(rest) > 0 && slices.Contains([]string{"ip", "ip6", "inet"}, rest[0]) {
		rest = rest[1:]
	}
	if len(rest) < 3 {
		return nil, errors.New(unclear)
	}
	switch object { // rest[0] is the table
	case "element":
		r := &rule{opens: adds, set: rest[1]}
		return r, r.element(rest[2:])
	case "rule":
		r := &rule{}
		return r, r.statements(rest[2:], adds)
	}
	return nil, errors.New(unclear)
}

// element reads "{ %IP% . tcp . 22 timeout 1h }".
func (r *rule) element(words []string) error {
	if n := len(words); words[0] != "{" || words[n-1] != "}" {
		return errors.New("its element is not understood")
	}
	words = words[1 : len(words)-1]
	if len(words) == 0 || strings.Split(words[0], "/")[0] != knocker {
		return fmt.Errorf("its element does not begin with %s", knocker)
	}
	if err := r.source(words[0]); err != nil {
		return err
	}
	proto := "tcp"
	for words = words[1:]; len(words) > 0; words = words[2:] {
		if len(words) == 1 {
			return fmt.Errorf("%q is not understood", words[0])
		}
		switch value := words[1]; {
		case words[0] == "timeout" || words[0] == "expires":
			var err error
			if r.lasts, err = duration(value); err != nil {
				return err
			}
		case words[0] != ".":
			return fmt.Errorf("%q is not understood", words[0])
		case value == "tcp" || value == "udp":
			proto = value
		default:
			protos, _ := protocols(proto) // one of the two
			if err := r.addPorts(value, protos...); err != nil {
				return err
			}
		}
	}
	return nil
}

// statements reads "ip saddr %IP% tcp dport 22 accept".
func (r *rule) statements(words []string, adds bool) error {
	var source, verdict string
	proto := "tcp"
	next := func() string {
		if len(words) == 0 {
			return ""
		}
		w := words[0]
		words = words[1:]
		return w
	}
	for len(words) > 0 {
		switch w := next(); w {
		case "position", "index":
			next()
		case "ct":
			if state, set := next(), next(); state != "state" || !strings.Contains(set+strings.Join(words, " "), "new") {
				return errors.New("its rule is about something else than new connections")
			}
			for len(words) > 0 && words[0] == "," {
				next()
				next()
			}
		case "meta", "l4proto", "ip", "ip6", "th", "counter", "protocol", "nexthdr":
		case "tcp", "udp":
			proto = w
		case "saddr":
			source = next()
		case "dport":
			protos, _ := protocols(proto) // one of the two
			list := next()
			if list == "{" {
				list = ""
				for w := next(); w != "}" && w != ""; w = next() {
					list += w
				}
			}
			if err := r.addPorts(list, protos...); err != nil {
				return err
			}
		case "accept", "drop", "reject":
			verdict = w
		case "comment":
			words = nil
		default:
			return fmt.Errorf("%q is not understood", w)
		}
	}
	return errors.Join(r.source(source), r.verdict(verdict, adds))
}
