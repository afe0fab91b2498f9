package profile

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"nftknock/config/internal/doc"
	"nftknock/knock/spa"
)

// autoAddress is the spa_address that the zero Addr stands for.
const autoAddress = "auto"

// spaAddress reads whom a packet asks to let in.
func spaAddress(v any) (netip.Addr, error) {
	const right = `"auto", an address such as "198.51.100.7", or "0.0.0.0" for the one that the packet arrives from`
	s, ok := v.(string)
	if !ok {
		return netip.Addr{}, doc.WrongKind(v, right)
	}
	if s == autoAddress {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("invalid value %q: want %s", s, right)
	}
	return a.Unmap(), nil
}

// SPAKey reads the key file of a profile. It refuses a file that others can read. The
// error says nothing of what is in it.
func (p Profile) SPAKey() (spa.Key, error) {
	text, err := doc.ReadSecretFile(p.SPAKeyFile, "copy it from where \"nftknockd spa new\" has made it")
	if err != nil {
		return spa.Key{}, fmt.Errorf("profile %s: spa_key_file: %w", p.Name, err)
	}
	base := filepath.Base(p.SPAKeyFile)
	key, err := spa.ParseKey(strings.TrimSuffix(base, filepath.Ext(base)), string(text))
	if err != nil {
		return spa.Key{}, fmt.Errorf("profile %s: %s: %s", p.Name, doc.Plain(p.SPAKeyFile), strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return key, nil
}
