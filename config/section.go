package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A section is a table of the file while its keys are read: the top level,
// [limits], [scan], [metrics], a door, or a profile.
type section struct {
	doc  *document
	node node // zero at the top level
	keys map[string]node
	name string // of a section that is neither the top level nor one that has its own
	door string // of a door, or of a profile
}

// subsection returns a table within the section, or nil if there is none.
func (s *section) subsection(name string) *section {
	n, ok := s.keys[name]
	if !ok {
		return nil
	}
	keys, ok := n.table()
	if !ok {
		s.fail(name, "found %s: write a table: [%s]", kind(n.value()), name)
		return nil
	}
	return &section{doc: s.doc, node: n, keys: keys, name: name}
}

// fail reports a problem with a key; where the section does not have the key, the
// line is the section's own.
func (s *section) fail(key, format string, args ...any) {
	n, ok := s.keys[key]
	if !ok {
		n = s.node
	}
	if s.name != "" {
		key = s.name + "." + key
	}
	s.doc.report(n.line(), s.door, key, format, args...)
}

// refuseUnknown reports the keys that are not among the known ones.
func (s *section) refuseUnknown(known []string) {
	for _, key := range slices.Sorted(maps.Keys(s.keys)) {
		if !slices.Contains(known, key) {
			s.doc.report(s.keys[key].line(), s.door, s.name, "unknown key %q: %s", key, s.doc.instead(key, known))
		}
	}
}

// instead says what may have been meant by an unknown key.
func (d *document) instead(key string, known []string) string {
	// TOML has no way back to the top level: what follows [door.ssh] is in it.
	switch {
	case d.hosts && slices.Contains(profileKeys, key):
		return "it belongs in a profile, such as [host.home]"
	case d.hosts:
	case slices.Contains(topKeys, key):
		return "it belongs at the top of the file, above the first [table]"
	case slices.Contains(limitsKeys, key):
		return "it belongs in [limits]"
	case slices.Contains(scanKeys, key):
		return "it belongs in [scan]"
	case slices.Contains(metricsKeys, key):
		return "it belongs in [metrics]"
	case slices.Contains(doorKeys, key):
		return "it belongs in a door, such as [door.ssh]"
	}
	if nearest, ok := Nearest(key, known); ok {
		return fmt.Sprintf("did you mean %q?", nearest)
	}
	return "possible here: " + strings.Join(known, ", ")
}

// Nearest returns the one of the known words that somebody may have meant by
// another, if one of them is near enough.
func Nearest(word string, known []string) (string, bool) {
	if len(known) == 0 {
		return "", false
	}
	nearest := slices.MinFunc(known, func(a, b string) int { return distance(word, a) - distance(word, b) })
	return nearest, 3*distance(word, nearest) <= len(nearest)+1
}

// distance is how many letters have to be changed, added or taken away to turn one
// word into another, whatever their case.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1) // from the letters of a so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// read sets a value to what parse makes of a key, if the section has the key and
// nothing is wrong with it.
func read[T any](s *section, key string, value *T, parse func(any) (T, error)) {
	n, ok := s.keys[key]
	if !ok {
		return
	}
	v, err := parse(n.value())
	if err == nil {
		*value = v
		return
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			s.fail(key, "%v", err)
		}
		return
	}
	s.fail(key, "%v", err)
}
