package setup

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"nftknock/config"
	"nftknock/config/profile"
	"nftknock/knock"
	"nftknock/knock/spa"
)

// A ClientSide is what a client has to know of this host.
type ClientSide struct {
	host    string // by what clients reach it
	profile string // what they call it
}

// Of a host's name, not all can be part of a profile's; and of anything else, a quote or
// a line's end would become part of the text that is pasted.
var (
	hostForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$`)
	notInProfile = regexp.MustCompile(`[^A-Za-z0-9._-]`)
)

// NewClientSide returns it for a name or address of this host; if that is empty, for its host
// name.
func NewClientSide(host string) (*ClientSide, error) {
	if host == "" {
		var err error
		if host, err = defaultHost(); err != nil {
			return nil, err
		}
	}
	address, err := netip.ParseAddr(host)
	switch {
	case err == nil && address.IsLinkLocalUnicast() && address.Is6():
		return nil, fmt.Errorf("--host %s needs an interface of the client's, which has another name on each: write a name, such as server.example.org, or another address", host)
	case err == nil && !address.IsGlobalUnicast() && !address.IsLinkLocalUnicast():
		return nil, fmt.Errorf("--host %s is no address by which another host reaches this one: write server.example.org, say, or 192.0.2.1", host)
	case err != nil && !hostForm.MatchString(host):
		return nil, fmt.Errorf("--host %q is neither a name nor an address: write server.example.org, say, or 192.0.2.1", host)
	}
	profile := strings.TrimLeft(notInProfile.ReplaceAllString(host, "-"), "-")
	return &ClientSide{host: host, profile: profile[:min(len(profile), 64)]}, nil
}

// Profile returns what a client knows of a door. Of one that takes packets it has the keys of
// a person, whose name may be empty if there is only one; spaKey is what is in their file.
func (c *ClientSide) Profile(cfg *config.Config, door *knock.Door, person string) (p profile.Profile, spaKey config.Secret, err error) {
	p = profile.New(c.profile)
	p.Host, p.Sequence, p.CloseSequence, p.Wait = c.host, door.Sequence, door.CloseSequence, firstTCP(door.Ports)
	if door.CodeBase != 0 {
		p.OTPSecret, p.OTPBase, p.Mute = cfg.OTP[door.Name].Secret, door.CodeBase, cfg.Scan.Mute
	}
	keys := cfg.SPA.Doors[door.Name].Keys
	if person == "" && (len(keys) == 0 || len(door.Sequence) > 0 || door.CodeBase != 0) {
		return p, "", nil
	}
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
		if k.Name == person || person == "" && len(keys) == 1 {
			p.Sequence, p.CloseSequence, p.OTPSecret, p.OTPBase = nil, nil, "", 0
			p.SPAKeyFile, p.SPAPort = k.File, cfg.SPA.Port.Number
			return p, config.Secret(k.Key.File()), nil
		}
	}
	switch {
	case len(names) == 0:
		return p, "", fmt.Errorf("door %s takes nobody's packets: it has no spa_keys\nhint: nftknockd spa new %s %s makes a key", door.Name, door.Name, person)
	case person == "":
		return p, "", fmt.Errorf("door %s takes packets of %s: --person says whose client it is", door.Name, strings.Join(names, ", "))
	}
	return p, "", fmt.Errorf("door %s takes no packets of %q: --person is one of %s", door.Name, person, strings.Join(names, ", "))
}

// Text returns what a client takes: the line for "nftknock add", which draw may draw, too;
// and what that writes, to be done by hand instead.
func (c *ClientSide) Text(p profile.Profile, spaKey config.Secret, draw func(io.Writer, string)) (string, error) {
	line, err := p.Line(spaKey)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# On the client, run \"nftknock add\" and paste this line, which is as secret as a password:\n\n%s\n\n", line)
	if draw != nil {
		draw(&b, line)
	}
	if p.SPAKeyFile != "" {
		return b.String(), nil // whose keys the line alone carries
	}
	fmt.Fprintf(&b, "# Or by hand, in ~/.config/nftknock/hosts.toml, for nobody else to read (chmod 600):\n\n%s", p.TOML())
	if stanza := p.SSHConfig(true); stanza != "" {
		b.WriteString("\n" + stanza)
	}
	return b.String(), nil
}

// firstTCP returns the first TCP port, 0 if there is none.
func firstTCP(ports []knock.Port) uint16 {
	for _, p := range ports {
		if p.Proto == knock.TCP {
			return p.Number
		}
	}
	return 0
}

// defaultHost returns by what name clients may reach this host, where nobody says.
func defaultHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("%w\nhint: --host gives the name by which clients reach this host", err)
	}
	return name, nil
}

// PacketText returns what a client pastes who opens a door with packets (single packet
// authorization) that go to a UDP port: the line for nftknock add, and fwknop's stanza.
func (c *ClientSide) PacketText(door *knock.Door, key spa.Key, port uint16) (string, error) {
	var text strings.Builder
	if wait := firstTCP(door.Ports); wait != 0 {
		p := profile.New(c.profile)
		p.Host, p.Wait, p.SPAKeyFile, p.SPAPort = c.host, wait, key.Name+".spa", port
		line, err := p.Line(profile.Secret(key.File()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "# For nftknock: run \"nftknock add\" on the client, and paste this line. It is a secret.\n\n%s\n\n", line)
	}
	var access []string
	for _, p := range door.Ports {
		access = append(access, fmt.Sprintf("%s/%d", p.Proto, p.Number))
	}
	cipher, hmac := key.Base64()
	fmt.Fprintf(&text, `# For fwknop: in ~/.fwknoprc, for nobody else to read (chmod 600); then run
# "fwknop -n %s -a ADDRESS", with the address from which the connection will come.

[%[1]s]
SPA_SERVER          %s
SPA_SERVER_PORT     %d
ACCESS              %s
KEY_BASE64          %s
HMAC_KEY_BASE64     %s
USE_HMAC            Y

`, c.profile, c.host, port, strings.Join(access, ","), cipher, hmac)
	return text.String(), nil
}
