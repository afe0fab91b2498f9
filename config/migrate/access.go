package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nftknock/config"
	"nftknock/config/fwknop"
	"nftknock/knock"
)

// A KeyFile is a file with a person's keys, in the format of fwknop's --key-gen.
type KeyFile struct {
	Name string // of the file, beside the configuration
	Text config.Secret
}

// An access is what becomes of an access.conf.
type access struct {
	name   string
	losses []Loss
	doors  []*spaDoor
	keys   []KeyFile
}

// A spaDoor is what stanzas open that differ in their keys alone.
type spaDoor struct {
	config.WrittenDoor
	lines []int
}

// FromAccess turns an access.conf of fwknopd into a configuration, and its keys into files
// beside that. The port of fwknopd.conf, which may be nil, is carried over. The names are
// the files', in the losses and in the comments.
func FromAccess(name string, data []byte, serverName string, server []byte) *Result {
	a := &access{name: name}
	stanzas := fwknop.ParseAccess(data)
	sections := 0
	for i := range stanzas {
		if _, ok := stanzas[i].Get("SOURCE"); ok {
			sections++
		}
		a.read(&stanzas[i])
	}
	top := a.readServer(serverName, server)
	// What the configuration's own rules refuse is found out by asking them.
	for {
		_, err := config.Parse("", []byte(a.settings(top)))
		if err == nil {
			break
		}
		if !a.refuse(err) {
			top = ""
		}
	}
	slices.SortStableFunc(a.losses, func(x, y Loss) int { return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line)) })
	return &Result{
		TOML: a.text(top), Losses: a.losses, KeyFiles: a.keys,
		Sections: sections, Doors: len(a.doors),
	}
}

func (a *access) lose(d fwknop.Directive, format string, args ...any) {
	p := config.Problem{File: a.name, Line: d.Line, Key: writtenKey(d.Key), Text: plain(fmt.Sprintf(format, args...))}
	a.losses = append(a.losses, Loss{Problem: p})
}

func (a *access) loseDoor(d fwknop.Directive, format string, args ...any) {
	a.lose(d, format, args...)
	a.losses[len(a.losses)-1].Door = true
}

var fwknopKey = regexp.MustCompile(`^(?:SOURCE|DESTINATION|ACCESS|KEY|HMAC_KEY|VERBOSE|%INCLUDE(?:_FOLDER|_KEYS)?|` +
	`(?:ACCESS|ALLOW|CMD|DISABLE|ENABLE|ENCRYPTION|FORCE|FORWARD|FW|GPG|HMAC|KEY|MAX|OPEN|REQUIRE|RESOLVE|RESTRICT|SPA|SPOOF|SUDO|USE|WGET)_[A-Z_]+[0-9]*)$`)

// writtenKey returns a key of fwknop's, but nothing that could be a secret in its place.
func writtenKey(key string) string {
	if fwknopKey.MatchString(key) {
		return key
	}
	return ""
}

// defaultAccessTimeout is fwknopd's FW_ACCESS_TIMEOUT where there is none.
const defaultAccessTimeout = 30 * time.Second

// read reads one stanza.
func (a *access) read(s *fwknop.Stanza) {
	source, ok := s.Get("SOURCE")
	if !ok {
		for _, d := range s.Directives {
			a.lose(d, "it stands above the first SOURCE: %s", map[bool]string{true: "read the file that it names, too", false: "it belongs to no stanza"}[strings.HasPrefix(d.Key, "%")])
		}
		return
	}
	door := &spaDoor{lines: []int{s.Line}}
	door.OpenTimeout = defaultAccessTimeout
	door.SPAAnySource = true
	for _, d := range s.Directives {
		a.readDirective(door, s, d)
	}
	if len(door.Ports) == 0 {
		if _, ok := s.Get("OPEN_PORTS"); !ok {
			a.loseDoor(source, "it has no OPEN_PORTS, and so opens what a packet asks for: a door names its ports; write OPEN_PORTS")
		}
		return
	}
	text, d, err := keyFile(s)
	if err != nil {
		if d.Line == 0 {
			d = source
		}
		a.loseDoor(d, "%v", err)
		return
	}
	if door.SPAAnySource {
		a.lose(source, "without REQUIRE_SOURCE_ADDRESS a packet lets in whoever sends it (spa_any_source): better take that out")
	}
	a.add(door, a.person(s), text)
}

func (a *access) readDirective(door *spaDoor, s *fwknop.Stanza, d fwknop.Directive) {
	switch d.Key {
	case "KEY", "KEY_BASE64", "HMAC_KEY", "HMAC_KEY_BASE64", "HMAC_DIGEST_TYPE": // see keyFile
	case "SOURCE":
		if !strings.EqualFold(d.Value, "ANY") {
			a.lose(d, "it took packets of some senders alone: here the key decides, whoever sends it")
		}
	case "OPEN_PORTS":
		ports, err := accessPorts(d.Value)
		if err != nil {
			a.loseDoor(d, "%v", err)
			return
		}
		door.Ports = ports
	case "FW_ACCESS_TIMEOUT":
		n, err := strconv.ParseUint(d.Value, 10, 31)
		switch t := time.Duration(n) * time.Second; {
		case err != nil || n == 0:
			a.lose(d, "it is no number of seconds: %v, which is fwknopd's default, is taken", defaultAccessTimeout)
		case t > mostCmdTimeout:
			door.OpenTimeout = mostCmdTimeout
			a.lose(d, "%d seconds is the most that is possible", int(mostCmdTimeout.Seconds()))
		default:
			door.OpenTimeout = t
		}
	case "REQUIRE_SOURCE_ADDRESS", "REQUIRE_SOURCE":
		door.SPAAnySource = !s.Yes(d.Key)
	case "ENABLE_CMD_EXEC", "FORCE_NAT", "FORCE_SNAT", "FORCE_MASQUERADE", "FORWARD_ALL", "DISABLE_DNAT", "GPG_REQUIRE_SIG":
		if d.Value != "" && !strings.EqualFold(d.Value, "N") {
			a.lose(d, "commands, NAT and GPG are not carried over: a packet opens the door's ports and nothing else")
		}
	case "REQUIRE_USERNAME":
		a.lose(d, "the user that a packet names is not looked at: whose key it is says who it is")
	case "RESTRICT_PORTS":
		a.lose(d, "a packet can ask for the door's ports alone, which leaves nothing to restrict")
	case "MAX_FW_TIMEOUT":
		a.lose(d, "a packet may ask for a shorter time than open_timeout, not for a longer one")
	case "ACCESS_EXPIRE", "ACCESS_EXPIRE_EPOCH":
		a.lose(d, "keys don't expire: take the key file out of spa_keys when it is time")
	case "ENCRYPTION_MODE":
		if !strings.EqualFold(d.Value, "CBC") {
			a.lose(d, "packets are encrypted in CBC mode, which is fwknop's default: clients have to leave this out")
		}
	default:
		switch {
		case strings.HasPrefix(d.Key, "GPG_"):
			a.lose(d, "GPG is not carried over: a packet is encrypted with KEY_BASE64")
		case strings.HasPrefix(d.Key, "CMD_"), strings.HasPrefix(d.Key, "SUDO_"):
			a.lose(d, "no command of a packet's is run: a [hook] is run when the door opens")
		case strings.HasPrefix(d.Key, "%"):
			a.lose(d, "read the file that it names, too")
		default:
			a.lose(d, "there is nothing like it here")
		}
	}
}

// accessPorts reads "tcp/22, udp/51820".
func accessPorts(list string) ([]knock.Port, error) {
	var r rule
	for word := range strings.SplitSeq(list, ",") {
		proto, ports, ok := strings.Cut(strings.TrimSpace(word), "/")
		protos, err := protocols(proto)
		if !ok || err != nil || len(protos) != 1 {
			return nil, errors.New("a door names its ports: write such as tcp/22, udp/51820")
		}
		if err := r.addPorts(ports, protos...); err != nil {
			return nil, err
		}
	}
	return r.ports, nil
}

// add adds a stanza to the door of the same ports, or as one of its own.
func (a *access) add(door *spaDoor, person string, text config.Secret) {
	base := person
	for n := 2; slices.ContainsFunc(a.keys, func(k KeyFile) bool { return k.Name == person+".spa" }); n++ {
		person = fmt.Sprintf("%s-%d", base, n)
	}
	file := person + ".spa"
	a.keys = append(a.keys, KeyFile{file, text})
	for _, other := range a.doors {
		if slices.Equal(other.Ports, door.Ports) && other.OpenTimeout == door.OpenTimeout && other.SPAAnySource == door.SPAAnySource {
			other.SPAKeys = append(other.SPAKeys, file)
			other.lines = append(other.lines, door.lines...)
			return
		}
	}
	door.SPAKeys = []string{file}
	door.Name = a.doorName(door.Ports[0])
	a.doors = append(a.doors, door)
}

// doorName names a door after the service of its first port.
func (a *access) doorName(p knock.Port) string {
	base := fmt.Sprintf("port_%d", p.Number)
	for _, service := range []string{"ssh", "http", "https", "imaps", "smtp", "openvpn", "domain"} {
		if n, err := net.LookupPort(p.Proto.String(), service); err == nil && n == int(p.Number) {
			base = service
		}
	}
	name := base
	for n := 2; slices.ContainsFunc(a.doors, func(d *spaDoor) bool { return d.Name == name }); n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	return name
}

var notInPerson = regexp.MustCompile(`[^A-Za-z0-9._@-]+|^[^A-Za-z0-9]+`)

// person names who has a key: fwknop knows people by a name that a packet has to hold.
func (a *access) person(s *fwknop.Stanza) string {
	d, _ := s.Get("REQUIRE_USERNAME")
	name := strings.Trim(notInPerson.ReplaceAllString(d.Value, "-"), "-.")
	if name == "" {
		return fmt.Sprintf("key%d", len(a.keys)+1)
	}
	return name[:min(len(name), 48)]
}

var udpPort = regexp.MustCompile(`\budp\b.*\bport\s+(\d{1,5})\b`)

// readServer reads what of fwknopd.conf counts here, and returns it as TOML.
func (a *access) readServer(name string, data []byte) string {
	s := fwknop.ParseServer(data)
	lose := func(d fwknop.Directive, text string) {
		a.losses = append(a.losses, Loss{Problem: config.Problem{File: name, Line: d.Line, Key: d.Key, Text: text}})
	}
	var top, spa string
	if d, ok := s.Get("PCAP_INTF"); ok && d.Value != "any" {
		line := fmt.Sprintf("interfaces = [%q]\n", d.Value)
		if _, err := config.Parse("", []byte(line)); err != nil {
			lose(d, "it is no interface that can be guarded: every one but loopback is")
		} else {
			top = line
			lose(d, "it said where packets are heard; `interfaces` says where doors are shut, too: what arrives elsewhere is not touched")
		}
	}
	port := ""
	if d, ok := s.Get("PCAP_FILTER"); ok {
		if m := udpPort.FindStringSubmatch(d.Value); m != nil {
			port = m[1]
		} else {
			lose(d, "packets are taken at a UDP port: that of [spa]")
		}
	}
	if d, ok := s.Get("UDPSERV_PORT"); ok && s.Yes("ENABLE_UDP_SERVER") {
		port = d.Value
	}
	if s.Yes("ENABLE_TCP_SERVER") {
		d, _ := s.Get("ENABLE_TCP_SERVER")
		lose(d, "packets are taken by UDP alone")
	}
	add := func(line string) bool {
		_, err := config.Parse("", []byte("[spa]\n"+spa+line))
		if err == nil {
			spa += line
		}
		return err == nil
	}
	if port != "" {
		add(fmt.Sprintf("port    = \"%s:udp\"\n", strings.Trim(port, `"\`)))
	}
	if d, ok := s.Get("MAX_SPA_PACKET_AGE"); ok && !add(fmt.Sprintf("max_age = %q\n", d.Value+"s")) {
		lose(d, "a packet may be from a second to an hour old: two minutes, the default, are taken")
	}
	if spa != "" {
		top += "\n[spa]\n" + spa
	}
	return top
}

func (a *access) settings(top string) string {
	var b strings.Builder
	b.WriteString(top)
	for _, d := range a.doors {
		b.WriteString("\n" + d.TOML())
	}
	return b.String()
}

func (a *access) text(top string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# nftknockd import made this from %s. What is marked with ! is not as it was, or not there any more.\n", plain(a.name))
	b.WriteString("# The firewall has to let everybody through to what a door guards: the gate decides before it.\n")
	if len(a.keys) > 0 {
		b.WriteString("# The keys are in files beside this one, each for nobody but the daemon's user to read.\n")
	}
	for _, l := range a.losses {
		l.Problem.Door = ""
		fmt.Fprintf(&b, "#   ! %s\n", plain(l.Problem.String()))
	}
	if top != "" {
		b.WriteString("\n" + strings.TrimLeft(top, "\n"))
	}
	for _, d := range a.doors {
		lines := make([]string, len(d.lines))
		for i, n := range d.lines {
			lines[i] = strconv.Itoa(n)
		}
		fmt.Fprintf(&b, "\n# Of line %s.\n%s", strings.Join(lines, ", "), d.TOML())
	}
	return b.String()
}

// refuse gives up the door that an error is about. It reports whether there is one.
func (a *access) refuse(err error) bool {
	if len(a.doors) == 0 {
		return false
	}
	var problems config.Errors
	errors.As(err, &problems)
	last, why := len(a.doors)-1, "the configuration would not be valid with it"
	for i, d := range a.doors {
		if j := slices.IndexFunc(problems, func(p config.Problem) bool {
			return p.Door == d.Name || strings.Contains(p.Text, "door "+d.Name+" guards")
		}); j >= 0 {
			last, why = i, problems[j].Text
		}
	}
	d := a.doors[last]
	a.doors = slices.Delete(a.doors, last, last+1)
	for _, line := range d.lines {
		a.loseDoor(fwknop.Directive{Line: line}, "%s", why)
	}
	a.keys = slices.DeleteFunc(a.keys, func(k KeyFile) bool { return slices.Contains(d.SPAKeys, filepath.Base(k.Name)) })
	return true
}
