package setup

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"nftknock/config/profile"
	"nftknock/knock"
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
	if !hostForm.MatchString(host) && (err != nil || address.Zone() != "") {
		return nil, fmt.Errorf("--host %q is neither a name nor an address: write server.example.org, say, or 192.0.2.1", host)
	}
	profile := strings.TrimLeft(notInProfile.ReplaceAllString(host, "-"), "-")
	return &ClientSide{host: host, profile: profile[:min(len(profile), 64)]}, nil
}

// Text returns what a client pastes: a profile, and how ssh uses it.
func (c *ClientSide) Text(door *knock.Door) string {
	port := firstTCP(door.Ports)
	p := profile.New(c.profile)
	p.Host, p.Sequence, p.Wait = c.host, door.Sequence, port
	var b strings.Builder
	fmt.Fprintf(&b, "# On the client, in ~/.config/nftknock/hosts.toml, for nobody else to read (chmod 600):\n\n%s", p.TOML())
	if port == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, `
# In ~/.ssh/config, so that "ssh %s" knocks first:

Match host %[1]s exec "nftknock %s"
`, c.host, c.profile)
	if port != 22 {
		fmt.Fprintf(&b, "    Port %d\n", port)
	}
	fmt.Fprintf(&b, `
# Or let nftknock make the connection, too:
#
#   Host %s
#       ProxyCommand nftknock proxy %s
`, c.host, c.profile)
	return b.String()
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
