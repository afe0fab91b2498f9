package migrate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// options returns a set of options that prints nothing. The names that mean the
// same as another are given as pairs.
func options(program string, same ...string) *pflag.FlagSet {
	f := pflag.NewFlagSet(program, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		for i := 0; i < len(same); i += 2 {
			if same[i] == name {
				name = same[i+1]
			}
		}
		return pflag.NormalizedName(name)
	})
	return f
}

// iptables reads the arguments of iptables(8) and ip6tables(8).
func iptables(args []string) (*rule, error) {
	f := options("iptables",
		"src", "source", "dst", "destination", "proto", "protocol", "delete-rule", "delete",
		"destination-port", "dport", "destination-ports", "dports", "to-port", "to-ports")
	var (
		add     = f.StringP("append", "A", "", "")
		insert  = f.StringP("insert", "I", "", "")
		remove  = f.StringP("delete", "D", "", "")
		check   = f.StringP("check", "C", "", "")
		table   = f.StringP("table", "t", "filter", "")
		source  = f.StringP("source", "s", "", "")
		dest    = f.StringP("destination", "d", "", "")
		in      = f.StringP("in-interface", "i", "", "")
		proto   = f.StringP("protocol", "p", "", "")
		port    = f.String("dport", "", "")
		ports   = f.String("dports", "", "")
		target  = f.StringP("jump", "j", "", "")
		states  = f.String("state", "", "")
		ctstate = f.String("ctstate", "", "")
		flags   = f.String("tcp-flags", "", "")

		origPort = f.String("ctorigdstport", "", "") // what was asked for before DNAT
		recent   = f.String("name", "", "")
	)
	// What a door does anyhow, or has no need for.
	f.StringArrayP("match", "m", nil, "")
	for _, name := range []string{"set", "update", "rcheck", "remove", "rsource", "rdest"} {
		f.Bool(name, false, "")
	}
	for _, name := range []string{"seconds", "hitcount", "ctdir", "ctproto", "to-destination", "to-ports", "limit", "limit-burst"} {
		f.String(name, "", "")
	}
	f.String("comment", "", "")
	f.Bool("syn", false, "")
	f.BoolP("numeric", "n", false, "")
	f.BoolP("verbose", "v", false, "")
	f.StringP("wait", "w", "", "")
	f.Lookup("wait").NoOptDefVal = "forever"
	if err := f.Parse(args); err != nil {
		return nil, err
	}

	chain := *add + *insert + *remove
	var sentOn, inside bool // the port is published by a rule; the port is that of the container
	var rest int            // the rule's number after -I, the second word of --tcp-flags, a time after -w
	if *insert != "" || f.Changed("wait") {
		rest++
	}
	if *flags != "" {
		rest++
	}
	switch {
	case *check != "":
		return nil, nil
	case chain == "":
		return nil, errors.New("it neither adds a rule nor takes one away")
	case *table == "nat" && (strings.EqualFold(*target, "DNAT") || strings.EqualFold(*target, "REDIRECT")):
		*target = "ACCEPT"
		sentOn = true
	case *table != "filter":
		return nil, fmt.Errorf("its rule is in table %s, and a door is a matter of the filter table, or sends on what arrives (DNAT, REDIRECT)", *table)
	case strings.EqualFold(chain, dockerChain):
		if strings.EqualFold(*target, "RETURN") {
			*target = "ACCEPT"
		}
		inside = *origPort == ""
	case strings.EqualFold(chain, "FORWARD"), strings.EqualFold(chain, "OUTPUT"):
		return nil, fmt.Errorf("its rule is in chain %s, and a door guards what arrives for this host", chain)
	case f.NArg() > rest:
		return nil, fmt.Errorf("%q is not understood", f.Arg(0))
	}

	r := &rule{}
	if *in != "" {
		r.note("it is for interface %q: a door guards what arrives on any of `interfaces`", *in)
	}
	if *dest != "" {
		r.note("it is for the address %q: a door guards all addresses of the host", *dest)
	}
	if s := *states + *ctstate; s != "" && !strings.Contains(strings.ToUpper(s), "NEW") {
		return nil, fmt.Errorf("its rule is about connections that are %s, and a door is about new ones", s)
	}
	if err := errors.Join(r.source(*source), r.verdict(*target, *remove == "")); err != nil {
		return nil, err
	}
	if *origPort != "" {
		*port, *ports = *origPort, ""
	}
	switch {
	case sentOn:
		r.note("it sends on to another port or host who has knocked, and nobody else: let that rule be there for everybody, the door decides before it")
	case inside:
		r.note("in this chain the port is that of the container: see that it is the published one too, which a door guards")
	}
	if f.Changed("name") {
		r.note("it uses the list %q of -m recent: a door counts no connections and has a time of its own", *recent)
	}
	if *port+*ports == "" {
		return r, nil
	}
	if *proto == "" {
		*proto = "tcp"
		r.note("it names a port and no protocol, which iptables refuses: taken for TCP")
	}
	protos, err := protocols(*proto)
	if err != nil {
		return nil, err
	}
	return r, r.addPorts(strings.Trim(*port+","+*ports, ","), protos...)
}

// dockerChain is where Docker looks before its own rules.
const dockerChain = "DOCKER-USER"

// knockAdd reads the arguments of knock_add, a script around iptables that comes
// with knockd and stands in Debian's knockd.conf.
func knockAdd(args []string) (*rule, error) {
	f := options("knock_add")
	var (
		add    = f.BoolP("append", "a", false, "")
		insert = f.BoolP("insert", "i", false, "")
		remove = f.BoolP("delete", "x", false, "")
		source = f.StringP("srcaddr", "f", "", "")
		port   = f.StringP("dstport", "d", "", "")
		proto  = f.StringP("proto", "p", "tcp", "")
		chain  = f.StringP("chain", "c", "INPUT", "")
	)
	f.StringP("comment", "m", "", "")
	f.Lookup("comment").NoOptDefVal = "by knockd"
	f.BoolP("verbose", "v", false, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var method string
	switch {
	case *add, *insert:
		method = "-A"
	case *remove:
		method = "-D"
	default:
		return nil, errors.New("it neither adds a rule nor takes one away")
	}
	return iptables([]string{method, *chain, "-s", *source, "-p", *proto, "--dport", *port, "-j", "ACCEPT"})
}

// ipset reads the arguments of ipset(8): "add SET %IP% timeout 60".
func ipset(args []string) (*rule, error) {
	f := options("ipset")
	f.BoolP("exist", "!", false, "")
	f.BoolP("quiet", "q", false, "")
	// Its long options have one dash.
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-exist" || a == "-quiet" })
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	args = f.Args()
	if len(args) < 3 || !slices.Contains([]string{"add", "del"}, args[0]) {
		return nil, errors.New("it neither adds an element nor takes one away")
	}
	r := &rule{opens: args[0] == "add", set: args[1]}
	address, port, hasPort := strings.Cut(args[2], ",")
	if err := r.source(address); err != nil {
		return nil, err
	}
	if hasPort {
		proto, number, named := strings.Cut(port, ":")
		if !named {
			proto, number = "tcp", port
		}
		protos, err := protocols(proto)
		if err != nil {
			return nil, err
		}
		if err := r.addPorts(number, protos...); err != nil {
			return nil, err
		}
	}
	for i := 3; i+1 < len(args); i++ {
		if args[i] == "timeout" {
			var err error
			if r.lasts, err = duration(args[i+1]); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}
