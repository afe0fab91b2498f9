package migrate

import (
	"errors"
	"fmt"
	"strings"

	"nftknock/knock"
)

// firewallCmd reads the arguments of firewall-cmd(1).
func firewallCmd(args []string) (*rule, error) {
	f := options("firewall-cmd")
	var (
		timeout    = f.String("timeout", "", "")
		reload     = f.Bool("reload", false, "")
		addRich    = f.StringArray("add-rich-rule", nil, "")
		removeRich = f.StringArray("remove-rich-rule", nil, "")
		addSource  = f.String("add-source", "", "")
		offSource  = f.String("remove-source", "", "")
		addPort    = f.StringArray("add-port", nil, "")
		offPort    = f.StringArray("remove-port", nil, "")
		addServ    = f.StringArray("add-service", nil, "")
		offServ    = f.StringArray("remove-service", nil, "")
	)
	f.String("zone", "", "")
	f.Bool("permanent", false, "")
	f.BoolP("quiet", "q", false, "")
	if err := f.Parse(args); err != nil {
		return nil, err
	}

	adds := len(*addRich)+len(*addPort)+len(*addServ) > 0 || *addSource != ""
	removes := len(*removeRich)+len(*offPort)+len(*offServ) > 0 || *offSource != ""
	switch {
	case *reload && !adds && !removes:
		return nil, nil
	case adds == removes || f.NArg() > 0:
		return nil, errors.New("it neither only adds nor only takes away")
	}
	r := &rule{opens: adds}
	for _, rich := range append(*addRich, *removeRich...) {
		if err := r.rich(rich, adds); err != nil {
			return nil, err
		}
	}
	if ports := append(*addPort, *offPort...); len(ports) > 0 {
		r.source("") // for everybody: no error
		for _, p := range ports {
			if err := r.portAndProto(p); err != nil {
				return nil, err
			}
		}
	}
	if services := append(*addServ, *offServ...); len(services) > 0 {
		r.source("")
		for _, s := range services {
			if err := r.addPorts(s, knock.TCP); err != nil {
				return nil, err
			}
		}
	}
	if s := *addSource + *offSource; s != "" {
		if err := r.source(s); err != nil {
			return nil, err
		}
	}
	if *timeout != "" {
		var err error
		if r.lasts, err = duration(*timeout); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *rule) portAndProto(s string) error {
	port, proto, _ := strings.Cut(s, "/")
	protos, err := protocols(proto)
	if err != nil {
		return err
	}
	return r.addPorts(port, protos...)
}

// rich reads a rule of firewalld.richlanguage(5): rule family="ipv4"
// source address="%IP%" port port="22" protocol="tcp" accept.
func (r *rule) rich(s string, adds bool) error {
	var source, port, proto, verdict string
	for word := range strings.FieldsSeq(s) {
		key, value, _ := strings.Cut(word, "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "rule", "family", "source", "service", "priority":
		case "address":
			source = value
		case "port":
			if value != "" {
				port = value
			}
		case "protocol":
			proto = value
		case "name":
			if err := r.addPorts(value, knock.TCP); err != nil {
				return err
			}
		case "accept", "drop", "reject":
			verdict = key
		default:
			return fmt.Errorf("%q in its rich rule is not understood", key)
		}
	}
	if port != "" {
		if err := r.portAndProto(port + "/" + proto); err != nil {
			return err
		}
	}
	return errors.Join(r.source(source), r.verdict(verdict, adds))
}
