package migrate

import (
	"regexp"
	"slices"
	"strings"

	"nftknock/config/knockd"
	"nftknock/config/profile"
	"nftknock/knock"
)

// Profiles makes profiles of a knockd.conf, for who knocks at the host of it: one for each
// sequence that opens, or runs, something, with the one that closes that again. What they
// open is known from the commands, as with [FromKnockd]. They have no host. The name is
// the file's, in the losses, which are what of the knocks is not carried over.
func Profiles(name string, f *knockd.File) (profile.Profiles, []Loss) {
	m := &migration{name: name}
	var parts []*part
	for _, s := range f.Doors() {
		parts = append(parts, m.readPart(s))
	}
	m.pair(parts)
	b := &profileBuilder{names: make(map[string]bool)}
	in := make(map[*knockd.Section]bool)
	for _, d := range m.doors {
		for _, s := range d.sections() {
			in[s] = true
		}
		if d.open.trigger && d.close == nil && b.closes(d.open) {
			continue
		}
		b.add(m, d)
	}
	// What could not become a door of ours can still be knocked.
	for _, p := range parts {
		if !in[p.section] && len(p.sequence) > 0 && !b.closes(p) {
			b.add(m, &door{open: p})
		}
	}
	slices.SortStableFunc(b.profiles, func(x, y lineOf) int { return x.line - y.line })
	var profiles profile.Profiles
	for _, p := range b.profiles {
		profiles = append(profiles, p.Profile)
	}
	ofKnocks := []string{"", "sequence", "one_time_sequences", "tcpflags"}
	losses := slices.DeleteFunc(m.losses, func(l Loss) bool {
		key := strings.ToLower(l.Key)
		return !slices.Contains(ofKnocks, key) || key == "" && l.Text != noSequence && !strings.HasPrefix(l.Text, sameProfile)
	})
	slices.SortStableFunc(losses, func(x, y Loss) int { return x.Line - y.Line })
	return profiles, losses
}

const sameProfile = "there is a profile "

type lineOf struct {
	profile.Profile
	line int
	what string // that it opens, by its name
}

type profileBuilder struct {
	profiles []lineOf
	names    map[string]bool
}

// closes makes a section called closeX the close_sequence of that called openX, where the
// commands don't tell. It reports whether it has.
func (b *profileBuilder) closes(p *part) bool {
	verb, what := split(p.section.Name)
	i := slices.IndexFunc(b.profiles, func(o lineOf) bool { return o.what == what && len(o.CloseSequence) == 0 })
	if verb != "close" || i < 0 {
		return false
	}
	b.profiles[i].CloseSequence = p.sequence
	b.rename(i, what)
	return true
}

func (b *profileBuilder) rename(i int, name string) {
	if name = profileName(name); !b.names[name] {
		delete(b.names, b.profiles[i].Name)
		b.names[name] = true
		b.profiles[i].Name = name
	}
}

func (b *profileBuilder) add(m *migration, d *door) {
	s := d.open.section
	name := profileName(s.Name)
	verb, what := split(s.Name)
	if verb == "open" && d.close != nil {
		name = profileName(what)
	}
	if b.names[name] {
		m.add(s, s.Line, "", true, sameProfile+"%s already", name)
		return
	}
	b.names[name] = true
	p := profile.New(name)
	p.Sequence = d.open.sequence
	if d.close != nil {
		p.CloseSequence = d.close.sequence
	}
	if i := slices.IndexFunc(d.open.ports, func(p knock.Port) bool { return p.Proto == knock.TCP }); i >= 0 && d.open.opens {
		p.Wait = d.open.ports[i].Number
	}
	if verb != "open" {
		what = ""
	}
	b.profiles = append(b.profiles, lineOf{p, s.Line, what})
}

var opening = regexp.MustCompile(`(?i)^(?:(open|close)[-_ ]*(.+)|(.+?)[-_ ]*(open|close))$`)

// split takes the name of a section apart: what it does, and to what; neither if the
// name does not say.
func split(section string) (verb, what string) {
	m := opening.FindStringSubmatch(strings.TrimSpace(section))
	if m == nil {
		return "", ""
	}
	return strings.ToLower(m[1] + m[4]), strings.ToLower(m[2] + m[3])
}

var notInProfile = regexp.MustCompile(`^[^A-Za-z0-9]+|[^A-Za-z0-9._-]+`)

// profileName makes of a section's name one that a profile can have.
func profileName(section string) string {
	name := strings.Trim(notInProfile.ReplaceAllString(section, "-"), "-")
	if name == "" {
		return "home"
	}
	return name[:min(len(name), 64)]
}

// Text returns profiles as they stand in a hosts.toml.
func Text(profiles profile.Profiles) string {
	texts := make([]string, len(profiles))
	for i, p := range profiles {
		texts[i] = p.TOML()
	}
	return strings.Join(texts, "\n")
}
