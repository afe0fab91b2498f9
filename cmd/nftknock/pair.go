package main

import (
	"fmt"
	"regexp"
	"strings"

	"nftknock/config/knockd"
	"nftknock/config/profile"
	"nftknock/knock"
)

// A loss is something of a knockd.conf that is not in the profiles.
type loss struct {
	line int
	text string
}

// pair makes profiles of the sections of a knockd.conf: one of openX and closeX, and one
// of each other section.
func pair(f *knockd.File) (profiles []profile.Profile, losses []loss) {
	opens, closers := make(map[string]bool), make(map[string]*knockd.Section)
	for _, s := range f.Doors() {
		switch verb, what := split(s.Name); verb {
		case "open":
			opens[what] = true
		case "close":
			closers[what] = s
		}
	}
	names := make(map[string]bool)
	for _, s := range f.Doors() {
		name := s.Name
		verb, what := split(s.Name)
		var closer *knockd.Section
		switch {
		case verb == "close" && opens[what] && closers[what] == s:
			continue // it belongs to the one that opens
		case verb == "open" && closers[what] != nil:
			closer, name = closers[what], what
		}
		p := profile.New(profileName(name))
		if names[p.Name] {
			losses = append(losses, loss{s.Line, fmt.Sprintf("section %q is left out: there is a profile %s already", s.Name, p.Name)})
			continue
		}
		var lost []loss
		p.Sequence, lost = sequenceOf(s)
		losses = append(losses, lost...)
		if closer != nil {
			p.CloseSequence, lost = sequenceOf(closer)
			losses = append(losses, lost...)
		}
		if len(p.Sequence) > 0 {
			names[p.Name] = true
			profiles = append(profiles, p)
		}
	}
	return profiles, losses
}

// sequenceOf returns what can be knocked of a section, and what is lost of it.
func sequenceOf(s *knockd.Section) (sequence []knock.Port, losses []loss) {
	sequence, err := s.Sequence()
	switch _, once := s.Get("one_time_sequences"); {
	case err != nil:
		return nil, []loss{{s.Line, fmt.Sprintf("section %q is left out: %v", s.Name, err)}}
	case once:
		return nil, []loss{{s.Line, fmt.Sprintf("section %q is left out: each of its sequences is good once", s.Name)}}
	case len(sequence) == 0:
		return nil, []loss{{s.Line, fmt.Sprintf("section %q is left out: it has no sequence", s.Name)}}
	}
	if flags, ok := s.Get("tcpflags"); ok && !strings.EqualFold(flags.Value, "syn") {
		losses = append(losses, loss{flags.Line, fmt.Sprintf("section %q wants other TCP flags, and a knock of nftknock is a SYN", s.Name)})
	}
	return sequence, losses
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
