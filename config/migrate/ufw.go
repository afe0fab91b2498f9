package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ufw reads the arguments of ufw(8).
func ufw(args []string) (*rule, error) {
	next := func() string {
		if len(args) == 0 {
			return ""
		}
		w := args[0]
		args = args[1:]
		return w
	}
	adds := true
	r := &rule{}
	for len(args) > 0 && !slices.Contains([]string{"allow", "deny", "reject", "limit"}, args[0]) {
		switch w := next(); w {
		case "reload":
			return nil, nil
		case "delete":
			adds = false
		case "insert":
			next()
		case "prepend", "rule", "--force":
		default:
			return nil, fmt.Errorf("%q is not understood", w)
		}
	}
	if err := r.verdict(next(), adds); err != nil {
		return nil, err
	}

	var source, proto, ports string
	for from := false; len(args) > 0; {
		switch w := next(); w {
		case "in", "log", "log-all":
		case "on":
			r.note("it is for interface %q: a door guards what arrives on any of `interfaces`", next())
		case "from":
			source, from = next(), true
		case "to":
			from = false
			if to := next(); to != "any" {
				r.note("it is for the address %q: a door guards all addresses of the host", to)
			}
		case "proto":
			proto = next()
		case "port":
			if ports = next(); from {
				return nil, errors.New("it is about the port that a connection comes from")
			}
		case "app":
			ports = next()
		case "comment":
			next()
		default: // ufw allow 22/tcp
			if source != "" || ports != "" {
				return nil, fmt.Errorf("%q is not understood", w)
			}
			ports = w
		}
	}
	if source == "any" {
		source = ""
	}
	if err := r.source(source); err != nil || ports == "" {
		return r, err
	}
	if strings.EqualFold(ports, "OpenSSH") { // ufw's name for an application
		ports, proto = "ssh", "tcp"
	}
	if list, p, ok := strings.Cut(ports, "/"); ok {
		ports, proto = list, p
	}
	protos, err := protocols(proto)
	if err != nil {
		return nil, err
	}
	return r, r.addPorts(ports, protos...)
}
