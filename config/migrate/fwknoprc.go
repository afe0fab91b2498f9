package migrate

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nftknock/config"
	"nftknock/config/fwknop"
	"nftknock/config/profile"
	"nftknock/knock"
)

// FwknopProfiles makes profiles of a .fwknoprc, one for each of its stanzas, in which that
// called default counts for the others too. Their keys become files beside hosts.toml.
func FwknopProfiles(name string, data []byte) (profile.Profiles, []KeyFile, []Loss) {
	c := &clientFile{access: access{name: name}}
	stanzas := fwknop.ParseClient(data)
	var defaults fwknop.Stanza
	if i := slices.IndexFunc(stanzas, func(s fwknop.Stanza) bool { return strings.EqualFold(s.Name, "default") }); i >= 0 {
		defaults = stanzas[i]
		stanzas = slices.Delete(stanzas, i, i+1)
		if len(stanzas) == 0 {
			if _, ok := defaults.Get("SPA_SERVER"); ok {
				stanzas = []fwknop.Stanza{defaults}
			}
		}
	}
	for _, s := range stanzas {
		own := len(s.Directives)
		s.Directives = append(slices.Clone(defaults.Directives), s.Directives...)
		c.read(&s, s.Directives[len(s.Directives)-own:])
	}
	return c.profiles, c.keys, c.losses
}

// AccessProfiles makes profiles of an access.conf, for who has its keys: one for each of its
// stanzas. They have no host.
func AccessProfiles(name string, data []byte) (profile.Profiles, []KeyFile, []Loss) {
	a := &access{name: name}
	c := &clientFile{access: access{name: name}}
	for _, s := range fwknop.ParseAccess(data) {
		source, ok := s.Get("SOURCE")
		if !ok {
			continue
		}
		ports, _ := s.Get("OPEN_PORTS")
		p := profile.New(profileName(a.person(&s)))
		a.keys = append(a.keys, KeyFile{}) // counts those without a name
		c.add(p, ports, source, &s)
	}
	return c.profiles, c.keys, c.losses
}

type clientFile struct {
	access
	profiles profile.Profiles
}

// read reads one stanza of a .fwknoprc, of which some directives are its own.
func (c *clientFile) read(s *fwknop.Stanza, own []fwknop.Directive) {
	p := profile.New(profileName(s.Name))
	where := fwknop.Directive{Line: s.Line}
	if d, ok := s.Get("SPA_SERVER"); ok {
		p.Host = d.Value
	} else {
		c.loseDoor(where, "it has no SPA_SERVER: write whom to send to")
		return
	}
	if d, ok := s.Get("SPA_SERVER_PORT"); ok {
		n, err := strconv.ParseUint(d.Value, 10, 16)
		if err != nil || n == 0 {
			c.lose(d, "it is no port: %d, fwknop's default, is taken", profile.DefaultSPAPort)
		} else {
			p.SPAPort = uint16(n)
		}
	}
	for _, d := range own {
		switch d.Key {
		case "SPA_SERVER", "SPA_SERVER_PORT", "ACCESS", "KEY", "KEY_BASE64", "HMAC_KEY", "HMAC_KEY_BASE64", "HMAC_DIGEST_TYPE", "USE_HMAC", "SPA_SOURCE_PORT", "VERBOSE":
		case "SPA_SERVER_PROTO":
			if !strings.EqualFold(d.Value, "udp") {
				c.lose(d, "packets are sent by UDP")
			}
		case "ALLOW_IP":
			if !slices.Contains([]string{"resolve", "source", "0.0.0.0"}, strings.ToLower(d.Value)) {
				c.lose(d, "the address to let in is that from which the packet is sent")
			}
		case "RESOLVE_IP_HTTP", "RESOLVE_URL", "WGET_CMD", "RESOLVE_HTTP_ONLY", "RESOLVE_IP_HTTPS":
			c.lose(d, "the address is not looked up elsewhere")
		case "FW_TIMEOUT":
			c.lose(d, "the door's open_timeout counts")
		case "SPOOF_SOURCE_IP":
			if _, err := netip.ParseAddr(d.Value); err == nil {
				c.lose(d, "packets are sent from an address of this machine")
			}
		default:
			c.lose(d, "there is nothing like it here")
		}
	}
	ports, _ := s.Get("ACCESS")
	c.add(p, ports, where, s)
}

// add adds a profile that asks for the ports of a directive, with the keys of a stanza.
func (c *clientFile) add(p profile.Profile, open, where fwknop.Directive, s *fwknop.Stanza) {
	if slices.ContainsFunc(c.profiles, func(o profile.Profile) bool { return o.Name == p.Name }) {
		c.loseDoor(where, sameProfile+"%s already", p.Name)
		return
	}
	ports, err := accessPorts(open.Value)
	i := slices.IndexFunc(ports, func(p knock.Port) bool { return p.Proto == knock.TCP })
	switch {
	case open.Line == 0:
		c.loseDoor(where, "it does not say what to ask for: write which port in ACCESS, or OPEN_PORTS, such as tcp/22")
		return
	case err != nil:
		c.loseDoor(open, "%v", err)
		return
	case i < 0:
		c.loseDoor(open, "a profile waits for a TCP port, and there is none")
		return
	case len(ports) > 1:
		c.lose(open, "a profile waits for one port: %d", ports[i].Number)
	}
	p.Wait = ports[i].Number
	text, d, err := keyFile(s)
	if err != nil {
		if d.Line == 0 {
			d = where
		}
		c.loseDoor(d, "%v", err)
		return
	}
	p.SPAKeyFile = p.Name + ".spa"
	check := p
	if check.Host == "" {
		check.Host = "server.example.org"
	}
	if _, err := profile.Parse("", []byte(check.TOML())); err != nil {
		var why string
		for _, problem := range err.(profile.Errors) {
			why = fmt.Sprintf("%s: %s", problem.Key, problem.Text)
		}
		c.loseDoor(where, "%s", why)
		return
	}
	c.keys = append(c.keys, KeyFile{p.SPAKeyFile, config.Secret(text)})
	c.profiles = append(c.profiles, p)
}
