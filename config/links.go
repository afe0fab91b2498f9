package config

import (
	"slices"
	"strings"

	"nftknock/config/internal/doc"
)

// A Link is a network interface of the host.
type Link struct {
	Name     string
	AltNames []string // more names that ip(8) shows and takes, and rules don't (altname)
	Loopback bool
	Master   string // the bridge, bond, team or VRF that it is a port of; empty: none
	Kind     string // of the master, such as "bridge"
}

// ReadLinks returns the network interfaces of the host, in the program's network namespace.
// It asks by netlink, which a sandbox without /sys allows. Where it is not known how to
// ask, which is everywhere but on Linux, the list is nil.
func ReadLinks() ([]Link, error) { return readLinks() }

// InterfaceWarnings returns why doors may guard nothing on interfaces that are named: none
// of the name is there now, or its packets arrive under another name. An interface may
// come later, and is guarded then. Of nil, which says that the interfaces are not known,
// there are no warnings.
func (c *Config) InterfaceWarnings(links []Link) []Problem {
	if links == nil {
		return nil
	}
	w := warner{config: c}
	for _, name := range c.Interfaces {
		i := slices.IndexFunc(links, func(l Link) bool { return l.Name == name })
		alt := slices.IndexFunc(links, func(l Link) bool { return slices.Contains(l.AltNames, name) })
		switch {
		case i >= 0 && links[i].Master != "":
			w.warn("", "interfaces", "%s is a port of the %s %s, under whose name its packets arrive: nothing is guarded there: write %q",
				doc.Plain(name), kindName(links[i].Kind), doc.Plain(links[i].Master), links[i].Master)
		case i >= 0:
		case alt >= 0:
			w.warn("", "interfaces", "%s is an altname of %s, and packets arrive under its first name: nothing is guarded there: write %[2]q",
				doc.Plain(name), links[alt].Name)
		default:
			w.warn("", "interfaces", "%s is not there now: nothing is guarded by this name until it comes; there are: %s", doc.Plain(name), linkNames(links))
		}
	}
	return w.warnings
}

func kindName(kind string) string {
	if kind == "vrf" {
		return "VRF"
	}
	return kind
}

// linkNames lists the interfaces that packets from elsewhere arrive on.
func linkNames(links []Link) string {
	const most = 16
	var names []string
	for _, l := range links {
		if !l.Loopback && l.Master == "" {
			names = append(names, doc.Plain(l.Name))
		}
	}
	switch {
	case len(names) == 0:
		return "none but loopback"
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}
