package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"nftknock/config/internal/doc"
	"nftknock/knock"
)

// The functions of this file make a value of the configuration out of what the toml
// package represents it by.

const examplePorts = `such as [22, "51820:udp"]`

func nflogGroup(v any) (uint16, error) {
	if v == int64(0) {
		return 0, errors.New("0 is the kernel's default group, which other programs use: write a whole number from 1 to 65535")
	}
	n, err := doc.Number(1, 65535)(v)
	return uint16(n), err
}

// addrPort reads where to listen. Names are not resolved.
func addrPort(v any) (netip.AddrPort, error) {
	const right = `an address and a port, such as "127.0.0.1:9722"`
	s, ok := v.(string)
	if !ok {
		return netip.AddrPort{}, doc.WrongKind(v, right)
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("invalid value %q: want %s", s, right)
	}
	return a, nil
}

// prefixLength returns a reader of how many bits of an address count.
func prefixLength(bits int64) func(any) (int, error) {
	return func(v any) (int, error) {
		if v == int64(0) {
			return 0, fmt.Errorf("0 would let everybody in with the first who knocks: write a whole number from 1 to %d", bits)
		}
		return doc.Number(1, bits)(v)
	}
}

func ports(v any) ([]knock.Port, error) {
	seen := make(map[knock.Port]bool)
	ports, err := doc.List(v, examplePorts, func(_ int, v any) (knock.Port, error) {
		p, err := doc.Port(v)
		if err == nil && seen[p] {
			return p, fmt.Errorf("port %v is there twice: write it once", p)
		}
		seen[p] = true
		return p, err
	})
	if err == nil && len(ports) == 0 {
		return nil, fmt.Errorf("is empty: write what the door guards, %s, or leave it out if it guards nothing and only makes events", examplePorts)
	}
	return ports, err
}

// interfaces reads names of network interfaces, by the rules of the kernel
// (dev_valid_name in net/core/dev.c) and such that they can be quoted in an nft script.
func interfaces(v any) ([]string, error) {
	seen := make(map[string]bool)
	names, err := doc.List(v, `such as ["eth0"]`, func(_ int, v any) (string, error) {
		name, ok := v.(string)
		if !ok {
			return "", doc.WrongKind(v, `the name of an interface, such as "eth0"`)
		}
		if seen[name] {
			return "", fmt.Errorf("%q is there twice: write it once", name)
		}
		seen[name] = true
		return name, checkInterface(name)
	})
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, errors.New("is empty: leave it out to guard every interface but loopback")
	case len(names) == 1 && names[0] == "lo":
		return nil, errors.New(`only "lo" is named, on which nothing arrives from another host: write the interfaces to guard, ` +
			`such as ["eth0"], or leave it out to guard every one but loopback`)
	}
	return names, nil
}

// checkInterface says why a name cannot be one of an interface.
func checkInterface(name string) error {
	alias, _, isAlias := strings.Cut(name, ":")
	switch {
	case strings.Contains(name, "*") || strings.HasSuffix(name, "+"):
		return fmt.Errorf("%q: wildcards are not supported: write each interface by its whole name", name)
	case isAlias && alias != "" && checkInterface(alias) == nil:
		return fmt.Errorf("%q is an alias, a label of an address, under which no packet arrives: write %q", name, alias)
	case len(name) > 15:
		return fmt.Errorf("%q is longer than the 15 bytes that a name can have: write it as \"ip link\" shows it, not an altname", name)
	case name == "" || name == "." || name == ".." || strings.ContainsFunc(name, notInName):
		return fmt.Errorf("%q is not the name of an interface: "+
			"write 1 to 15 bytes of printable characters other than space / : \\ and quotes", name)
	}
	return nil
}

func notInName(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(` /:\"`, r) }
