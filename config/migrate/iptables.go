package migrate

import (
	"errors"
	"fmt"
	"io"
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
		"destination-port", "dport", "destination-ports", "dports")
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
	)
	// What a door does anyhow, or has no need for.
	f.StringArrayP("match", "m", nil, "")
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
	var rest int // the rule's number after -I, the second word of --tcp-flags, a time after -w
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
	case *table != "filter":
		return nil, fmt.Errorf("its rule is in table %s, and a door is a matter of the filter table", *table)
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
