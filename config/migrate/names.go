package migrate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"nftknock/knock"
)

var (
	verbs     = regexp.MustCompile(`^(openclose|open|close|allow|deny|start|stop)[-_ ]*|[-_ ]*(openclose|open|close|allow|deny|start|stop)$`)
	notInName = regexp.MustCompile(`[^a-z0-9]+`)
)

// stem returns what a section is about: "ssh" for openSSH, closeSSH and ssh-open.
func stem(section string) string {
	name := strings.ToLower(section)
	if s := verbs.ReplaceAllString(name, ""); s != "" {
		name = s
	}
	return strings.Trim(notInName.ReplaceAllString(name, "_"), "_")
}

// sameName says whether two sections are called for the same thing.
func sameName(a, b *part) bool {
	plain := func(p *part) string { return strings.ReplaceAll(stem(p.section.Name), "_", "") }
	return plain(a) == plain(b)
}

// nameDoors names the doors, each in another way.
func (m *migration) nameDoors() {
	taken := make(map[string]bool)
	for _, d := range m.doors {
		base := stem(d.open.section.Name)
		if base == "" || base[0] < 'a' {
			base = strings.TrimSuffix("door_"+base, "_")
		}
		d.name = base[:min(len(base), 16)]
		for n := 2; taken[d.name]; n++ {
			suffix := fmt.Sprintf("_%d", n)
			d.name = base[:min(len(base), 16-len(suffix))] + suffix
		}
		taken[d.name] = true
		d.nameHooks()
	}
}

// nameHooks names a door's hooks after the door, which nothing else does.
func (d *door) nameHooks() {
	n := 0
	for _, p := range []*part{d.open, d.close} {
		if p == nil {
			continue
		}
		for i := range p.hooks {
			p.hooks[i].name = d.name
			if n++; n > 1 {
				p.hooks[i].name = fmt.Sprintf("%s-%d", d.name, n)
			}
		}
	}
}

// guessPorts looks for the name of a service where a command names no port: in the
// set that it uses, and in the section's name.
func (m *migration) guessPorts(p *part) {
	for _, name := range []string{p.set, p.section.Name} {
		for word := range strings.SplitSeq(stem(name), "_") {
			if _, err := strconv.Atoi(word); err == nil {
				continue // that counts sections, or so
			}
			n, err := portNumber(word)
			if err != nil {
				continue
			}
			p.ports = []knock.Port{{Number: n, Proto: knock.TCP}}
			if p.opens {
				m.lose(p.section, p.command, "it names no port: %d is taken from the name %q: see that this is what it opens", n, name)
			}
			return
		}
	}
	m.loseDoor(p, p.command.Line, written(p.command), "it names no port, and a door guards ports that it names: "+
		"write the door, with what the command is to open as its `ports`")
}
